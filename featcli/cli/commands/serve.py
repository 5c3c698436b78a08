"""Start a local web page for building pipelines and editing kernels.

It prints an address to open in a browser on this machine. Drop an image onto the page or use the
camera, arrange stages and change their parameters: the result of every step is shown at once. Copy
the finished pipeline as a command or as Python, or download it. No data leaves this machine, and
only those who know the printed address can use the page. Press Ctrl-C to stop it.

Examples
--------
Open the page with a photo in the browser:

    featcli serve photo.jpg --open

With a kernel of your own in the list of kernels, on any free port:

    featcli serve photo.jpg --kernel mine.csv --port 0
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featcli import budget
from featcli.cli import checks, options
from featcli.cli.command import Command
from featcli.cli.messages import emit, say
from featcli.errors import FeatError, UsageError

if TYPE_CHECKING:
    from featcli.serve.server import Server

_LOCAL = "127.0.0.1"
_REDIRECT = """<!doctype html><meta charset="utf-8"><title>featcli serve</title>
<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={0}">
<p><a href="{0}">Open the page of featcli serve</a></p>
"""


def _serve(
    images: tuple[str, ...],
    host: str,
    port: int,
    open_: bool,
    model: tuple[str, ...],
    kernel: tuple[str, ...],
    max_memory: int | None,
    quiet: bool,
) -> None:
    with _server(images, host, port, model, kernel, max_memory or budget.default()) as server:
        if not server.access.is_local and not quiet:
            say(
                f"--host {host}: everyone who can reach this machine and knows the address can use "
                "the page, and the connection is not encrypted"
            )
        try:
            _answer_requests(server, open_, quiet)
        except KeyboardInterrupt:
            if not quiet:
                say("stopped")


def _answer_requests(server: Server, is_opened: bool, quiet: bool) -> None:
    """Print the address, and answer requests until Ctrl-C."""
    emit(server.access.address)
    sys.stdout.flush()
    if not quiet:
        say("open this address in a browser; Ctrl-C stops the server")
    if is_opened:
        _open_browser(server)
    server.serve_forever(poll_interval=0.2)


@contextmanager
def _server(
    images: tuple[str, ...],
    host: str,
    port: int,
    models: tuple[str, ...],
    kernels: tuple[str, ...],
    max_memory: int,
) -> Iterator[Server]:
    """Load images, models and kernels, and start the server; clean up at the end."""
    from featcli.serve.answers import Answers
    from featcli.serve.backend import Backend
    from featcli.serve.memory import release_freed_memory
    from featcli.serve.models import Models
    from featcli.serve.server import Server

    release_freed_memory()
    own = _kernels(kernels)
    try:
        backend = Backend(max_memory, Models(models))
    except FeatError:
        raise
    except ValueError as error:
        raise UsageError(f"--model: {error}") from error
    try:
        pictures = [backend.add_picture(_read_image(one), Path(one).name, True) for one in images]
        server = Server(host, port)
        server.answers = Answers(backend, pictures, own)
        try:
            yield server
        finally:
            server.server_close()
    finally:
        backend.close()


def _kernels(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse the kernels of --kernel; return their numbers as text, by name."""
    from featcli import kernels

    found = {}
    for text in texts:
        try:
            one = kernels.parse(text)
        except ValueError as error:
            raise UsageError(f"--kernel: {error}") from error
        found[one.label] = kernels.of(one.values, one.label).text
    return found


def _read_image(name: str) -> bytes:
    try:
        return budget.read_file(name, 64 << 20)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error


def _open_browser(server: Server) -> None:
    """Open the browser on a private file that redirects to the address.

    Other users can read a program's arguments, and the address has the secret token.
    """
    import webbrowser

    assert server.answers
    page = server.answers.folder / "open.html"
    page.write_text(_REDIRECT.format(html.escape(server.access.address)), "utf-8")
    if not webbrowser.open(page.as_uri()):
        say("no browser was found: open the address above in one")


@checks.callback
def _check_host(value: str) -> str:
    if not value or any(one.isspace() or one in "/@?#" for one in value):
        raise ValueError(f"{value!r} is not an address such as {_LOCAL}")
    return value


command = Command(
    "serve",
    __doc__,
    [
        options.Argument(
            "images",
            "Images to start with; more can be dropped onto the page.",
            nargs=-1,
            metavar="[IMAGE]...",
            type=click.Path(readable=False),
        ),
        options.Option(
            "--port",
            type=click.IntRange(0, 65535),
            default=8737,
            help="The port of the server; 0 for any free port.",
        ),
        options.Option(
            "--host",
            metavar="ADDRESS",
            default=_LOCAL,
            callback=_check_host,
            help="The network address of the server. With 0.0.0.0, other machines can reach it.",
        ),
        options.flag("--open", "open_", help="Open the page in the default browser."),
        options.Option(
            "--model",
            metavar="PATH",
            multiple=True,
            help="Offer a model of your own on the page (.npz, or .onnx with the extra onnx).",
        ),
        options.Option(
            "--kernel",
            metavar="KERNEL",
            multiple=True,
            help="Offer a kernel of your own on the page: a file, numbers or a formula.",
        ),
        options.max_memory(),
        options.quiet(),
    ],
    callback=_serve,
)
