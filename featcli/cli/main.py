"""The `featcli` command: finding subcommands by name, and turning errors into messages."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import click

from featcli import cores
from featcli._index import COMMANDS, STAGES
from featcli._version import __version__
from featcli.cli.messages import flush_quietly, say, unfailing_stderr
from featcli.errors import FeatError, Terminated

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_INTERRUPTED, _BROKEN_PIPE, _KILLED = 130, 141, 128
_COMPLETE = "_FEATCLI_COMPLETE"
_AS_JSON = "featcli.as_json"
_EXAMPLES = """\
featcli convolve photo.jpg -k vertical | featcli relu | featcli pool --size 2
featcli run "convolve vertical | relu | pool 2 | flatten" photo.jpg -o features.npy
featcli show photo.jpg
"""


class Root(click.Group):
    """Lists commands from an index, and imports a command only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the stages, then the other commands."""
        return list(STAGES | COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of this command only."""
        os.environ.update(cores.ENVIRONMENT)
        with _gc_paused():
            if cmd_name in COMMANDS:
                module = importlib.import_module(f"featcli.cli.commands.{cmd_name}")
                command: click.Command = module.command
                return command
            is_stage = cmd_name in STAGES or _is_plugin(cmd_name)
            return _stage_command(cmd_name) if is_stage else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands, including stages of plugins."""
        from click.shell_completion import CompletionItem

        from featcli import plugins

        found = super().shell_complete(ctx, incomplete)
        others = set(plugins.names(plugins.STAGES)).difference(STAGES, COMMANDS)
        begun = sorted(name for name in others if name.startswith(incomplete))
        return [*found, *map(CompletionItem, begun)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest similar names if there is no such command."""
        if args and args[0][:1] != "-" and not _is_command(args[0]):
            import difflib

            names = self.list_commands(ctx)
            begun = [name for name in names if name.startswith(args[0])]
            near = begun or difflib.get_close_matches(args[0], names, n=2)
            meant = f": did you mean {' or '.join(near)}?" if near else " (see featcli --help)"
            raise click.UsageError(f"no command {args[0]!r}{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List stages and other commands under separate headings."""
        stages = {name: COMMANDS.get(name, text) for name, (_, text) in STAGES.items()}
        others = {name: text for name, text in COMMANDS.items() if name not in STAGES}
        for title, texts in (("Stages", stages), ("Commands", others)):
            with formatter.section(title):
                formatter.write_dl([(name.ljust(14), text) for name, text in texts.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples without wrapping, so that they can be copied."""
        with formatter.section("Examples"):
            for line in _EXAMPLES.splitlines():
                formatter.write(f"  {line}\n")


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Pause garbage collection during imports, and exempt the imported modules from it."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _is_plugin(name: str) -> bool:
    """Whether a plugin has a stage of this name; asked only for names that are not built in."""
    from featcli import plugins

    return plugins.entry(plugins.STAGES, name) is not None


def _is_command(name: str) -> bool:
    return name in STAGES or name in COMMANDS or _is_plugin(name)


def _stage_command(name: str) -> click.Command:
    from featcli import stage
    from featcli.cli import options
    from featcli.cli.command import stage_command
    from featcli.cli.execute import execute

    shared = [*options.inputs(), *options.outputs(), *options.batch()]
    shared += [options.quiet(), options.verbose()]
    try:
        found = stage.get(name)
    except ValueError as error:  # from a broken plugin; the message names it
        raise click.UsageError(str(error)) from error
    return stage_command(found, shared, execute)


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if ctx.meta.get(_AS_JSON) and not wanted:
        raise click.UsageError("--json goes with --version, or after the name of a command", ctx)
    if wanted and ctx.meta.get(_AS_JSON):
        import json

        from featcli.cli.versions import versions

        click.echo(json.dumps(versions()))
    elif wanted:
        click.echo(f"featcli {__version__}")
    if wanted:
        ctx.exit()


def _note_json(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    ctx.meta[_AS_JSON] = wanted


def _print_usage(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        import json

        from featcli.cli.usage import usage

        click.echo(json.dumps(usage(cli), indent=2))
        ctx.exit()


@click.group(
    cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit; with --json, also the versions of Python and all packages.",
)
@click.option(
    "--json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_note_json,
    help="With --version: print JSON.",
)
@click.option(
    "--json-usage",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_usage,
    help="Print all commands, options, types, ranges and defaults as JSON, and exit.",
)
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the Python traceback of an error."
)
def cli() -> None:
    """Extract features from images the way a convolutional neural network (CNN) does.

    Each stage of a CNN is a command: split channels, convolve, activate, pool, flatten. It reads
    images or arrays and writes an array (.npy), a picture of it (.png), and a record of how it was
    made (.json).
    """


if cli.help is None:  # python -OO
    from featcli.docstrings import docstring

    cli.help = docstring(cli.callback)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its exit code.

    With `arguments` (in tests), SystemExit is raised; otherwise sys.argv is used and the process is
    ended directly.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    elif arguments is None:
        sys.stderr = unfailing_stderr()
    for name in ("SIGTERM", "SIGHUP"):
        _exit_on(getattr(signal, name, None))
    code = _run(sys.argv[1:] if arguments is None else arguments)
    flush_quietly()
    if arguments is None:
        _exit_now(code)
    raise SystemExit(code)


def _exit_now(code: int) -> NoReturn:
    """End the process without Python's clean-up of modules, a tenth of a short command's time."""
    atexit._run_exitfuncs()
    flush_quietly()
    os._exit(code)


def _exit_on(number: signal.Signals | None) -> None:
    """Let a signal raise SystemExit, so that files are cleaned up, unless it is ignored (nohup)."""
    if number is not None and signal.getsignal(number) == signal.SIG_DFL:
        signal.signal(number, _terminate)


def _terminate(number: int, _frame: Any) -> NoReturn:
    raise Terminated(_KILLED + number)


def _run(arguments: list[str]) -> int:
    """Run the command and return the exit code; every exception is handled here."""
    try:
        return _dispatch(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        return _BROKEN_PIPE
    except BaseException as error:  # libraries also raise others, such as those of Rust
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        return _explain(error, arguments)


def _dispatch(arguments: list[str]) -> int:
    """Run the command like `click.Command.main`, but let BrokenPipeError through."""
    if sys.stdout is None:
        raise FeatError("standard output is closed")
    instruction = os.environ.get(_COMPLETE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "featcli", _COMPLETE, instruction)
    if any(name.startswith("FEATCLI_") for name in os.environ):
        from featcli.cli import environment

        environment.check()
    with cli.make_context("featcli", list(arguments)) as context:
        cli.invoke(context)
    return 0


def _explain(error: BaseException, arguments: list[str]) -> int:
    """Print the error as one line, and return the exit code."""
    name = _command_name(arguments)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        text = re.sub(r"\s*\n\s*", " ", error.format_message().rstrip("."))
        code, text = error.exit_code, f"{text[:1].lower()}{text[1:]}{_misplaced(error, name)}"
    elif isinstance(error, FeatError):
        code, text = error.exit_code, str(error)
    elif isinstance(error, MemoryError):
        code, text = 1, "out of memory"
    elif isinstance(error, OSError) and error.strerror:
        code, text = 1, f"{error.filename or 'standard input or output'}: {error.strerror}"
    else:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        code, text = 1, f"unexpected {reason} (please report it; --debug shows more)"
    say(text, command="" if _is_about_root(error) else name)
    return code


def _command_name(arguments: list[str]) -> str:
    """Return the name of the command, "" if there is none; the options before it take no value."""
    name = next((one for one in arguments if one[:1] != "-"), "")
    return name if _is_command(name) else ""


def _is_about_root(error: BaseException) -> bool:
    """Whether an error concerns what stands before the name of the command."""
    context = getattr(error, "ctx", None)
    return isinstance(context, click.Context) and context.command is cli


def _misplaced(error: click.ClickException, name: str) -> str:
    """Return a hint if an option of a command was given before the command's name, else ""."""
    is_unknown = isinstance(error, click.NoSuchOption) and not error.possibilities
    if not (name and is_unknown and _is_about_root(error)):
        return ""
    assert isinstance(error, click.NoSuchOption)
    return f"; options of a command follow its name: featcli {name} {error.option_name} ..."
