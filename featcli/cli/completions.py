"""What a shell may offer for words that only the program knows: kernels, models, layers, steps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from featcli._index import STAGES

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from featcli.stage import Param

Complete = Callable[["click.Context", "click.Parameter", str], "list[CompletionItem]"]


def _items(names: Iterable[str], begun: str, files: bool = False) -> list[CompletionItem]:
    """Offer the names that go on from what is typed; the shell's files where there is none."""
    from click.shell_completion import CompletionItem

    found = [CompletionItem(name) for name in names if name.startswith(begun)]
    return found or ([CompletionItem(begun, type="file")] if files else [])


def _never_failing(complete: Complete) -> Complete:
    """Offer nothing where something goes wrong: a traceback would fill the prompt."""

    def safe(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return complete(ctx, param, begun)
        except Exception:
            return []

    return safe


def kernel_names() -> list[str]:
    """Return the built-in kernels, and the formulas with the colon that must follow."""
    from featcli import kernels, plugins
    from featcli.formulas import FORMULAS

    formulas = [f"{name}:" for name in FORMULAS]
    return [*kernels.names(), *plugins.names(plugins.KERNELS), *formulas]


@_never_failing
def kernels(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer kernels, else files."""
    return _items(kernel_names(), begun, files=True)


def values(param: Param, begun: str) -> list[CompletionItem]:
    """Offer the choices of a stage's parameter, or the names that there are for its values."""
    may_be_file = param.converter.metavar in ("KERNEL", "FILE")
    return _items(_values(param), begun, files=may_be_file)


@_never_failing
def models(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the models that ship with featcli, else files."""
    from featcli.models.loading import shipped

    return _items(shipped(), begun, files=True)


@_never_failing
def layers(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the layers of the model that the line names so far."""
    from featcli.cli.layers import about, model_path

    path = model_path(str(ctx.params.get("model") or "imagenet"))
    return _items([row["name"] for row in about(path)["layers"]] if path else [], begun)


@_never_failing
def data_sets(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the data set that ships with featcli, else files and folders."""
    return _items(["digits"], begun, files=True)


@_never_failing
def commands(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the names of commands."""
    root: Any = ctx.find_root().command
    return _items(root.list_commands(ctx), begun)


@_never_failing
def saved_pipelines(
    _ctx: click.Context, _param: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer the names under which pipelines are saved."""
    from featcli.cli import saved

    return _items(saved.names(), begun)


@_never_failing
def pipeline(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the next word of a pipeline's text; a candidate is the whole text up to it."""
    before, words, last = _split(begun)
    return _items([before + word for word in _next_words(words, last)], begun)


def _split(text: str) -> tuple[str, list[str], str]:
    """Return the text up to its last word, the words of the last step before it, and that word."""
    start = max(text.rfind(" "), text.rfind("|")) + 1
    step = text[:start].rpartition("|")[2]
    words = shlex.split(step)  # raises for an open quote: numbers, which nobody can guess
    return text[:start], words, text[start:]


def _next_words(words: Sequence[str], last: str) -> list[str]:
    """Return all that may stand after the words of a step."""
    from featcli import plugins
    from featcli import stage as stages

    if not words:
        return [*STAGES, *plugins.names(plugins.STAGES)]
    stage = stages.get(words[0])
    options = {name: param for param in stage.params for name in (param.option, param.short)}
    before = options.get(words[-1])
    if before and not before.flag:
        return _values(before)
    if last.startswith("-"):
        return [param.option for param in stage.params]
    values = [word for param in stage.params if param.word for word in _values(param)]
    return [*values, "|"]


def _values(param: Param) -> list[str]:
    known = kernel_names() if param.converter.metavar == "KERNEL" else []
    return list(param.choices) or known
