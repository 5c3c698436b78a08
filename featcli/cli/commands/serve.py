"""Open a page on this machine to build pipelines, see every step and edit kernels.

It prints an address for a browser on this machine. There one drops a picture, or uses the camera,
puts stages in a row and changes any number; every step shows its picture at once. The pipeline is
taken away as a command, as Python or as a file. Nothing leaves the machine, and only who knows the
printed address can use it. Ctrl-C ends it.

Examples
--------
The page, with a photo to begin with, in the browser:

    featcli serve photo.jpg --open

With a kernel of your own to choose from, at a port that is free:

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
from featcli.cli import options
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
    with _started(images, host, port, model, kernel, max_memory or budget.default()) as server:
        if not server.access.is_local and not quiet:
            say(
                f"--host {host}: everybody who reaches this machine and knows the address can use "
                "it, and what is sent is not encrypted",
                command="serve",
            )
        try:
            _listen(server, open_, quiet)
        except KeyboardInterrupt:
            if not quiet:
                say("ended", command="serve")


def _listen(server: Server, is_opened: bool, quiet: bool) -> None:
    """Print the address, and answer until somebody ends it."""
    emit(server.access.address)
    sys.stdout.flush()
    if not quiet:
        say("open this address in a browser; Ctrl-C ends it", command="serve")
    if is_opened:
        _open(server)
    server.serve_forever(poll_interval=0.2)


@contextmanager
def _started(
    images: tuple[str, ...],
    host: str,
    port: int,
    models: tuple[str, ...],
    kernels: tuple[str, ...],
    max_memory: int,
) -> Iterator[Server]:
    """Load what the command line names, and listen; leave nothing behind at the end."""
    from featcli.serve.answers import Answers
    from featcli.serve.freeing import give_back
    from featcli.serve.models import Models
    from featcli.serve.server import Server
    from featcli.serve.workshop import Workshop

    give_back()
    own = _kernels(kernels)
    try:
        workshop = Workshop(max_memory, Models(models))
    except FeatError:
        raise
    except ValueError as error:
        raise UsageError(f"--model: {error}") from error
    try:
        pictures = [workshop.add_picture(_content(one), Path(one).name, True) for one in images]
        server = Server(host, port)
        server.answers = Answers(workshop, pictures, own)
        try:
            yield server
        finally:
            server.server_close()
    finally:
        workshop.close()


def _kernels(texts: tuple[str, ...]) -> dict[str, str]:
    """Read the kernels of the command line; return each by value, by its name."""
    from featcli import kernels

    found = {}
    for text in texts:
        try:
            one = kernels.parse(text)
        except ValueError as error:
            raise UsageError(f"--kernel: {error}") from error
        found[one.label] = kernels.of(one.values, one.label).text
    return found


def _content(name: str) -> bytes:
    try:
        return budget.read_file(name, 64 << 20)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error


def _open(server: Server) -> None:
    """Open the browser by way of a private file: everybody may read a program's arguments."""
    import webbrowser

    assert server.answers
    page = server.answers.folder / "open.html"
    page.write_text(_REDIRECT.format(html.escape(server.access.address)), "utf-8")
    if not webbrowser.open(page.as_uri()):
        say("no browser was found: open the address yourself", command="serve")


def _address(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value or any(one.isspace() or one in "/@?#" for one in value):
        raise click.BadParameter(f"{value!r} is no address such as {_LOCAL}")
    return value


def _options() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        options.Described(
            "images",
            "Pictures to begin with; others are dropped into the page.",
            nargs=-1,
            metavar="[IMAGE]...",
            type=click.Path(readable=False),
        ),
        grouped(
            ["--port"],
            type=click.IntRange(0, 65535),
            metavar="N",
            default=8737,
            show_default=True,
            help="Where to listen; 0 takes one that is free. The address is printed.",
        ),
        grouped(
            ["--host"],
            metavar="ADDRESS",
            default=_LOCAL,
            show_default=True,
            callback=_address,
            help="Another address of this machine, such as 0.0.0.0 for all of them: then others "
            "can reach it, too.",
        ),
        grouped(["--open", "open_"], is_flag=True, help="Open the page in the browser."),
        grouped(
            ["--model"],
            metavar="PATH",
            multiple=True,
            help="A model of your own that the page offers (.npz, or .onnx with the extra onnx).",
        ),
        grouped(
            ["--kernel"],
            metavar="KERNEL",
            multiple=True,
            help="A kernel of your own that the page offers: a file, numbers or a formula.",
        ),
        *(one for one in options.reading() if one.name == "max_memory"),
        options.quiet(),
        options.debug(),
    ]


command = Command("serve", __doc__, _options(), callback=_serve)
