"""Shell completion of kernels, models, layers, data sets, saved pipelines and pipeline texts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from featcli._index import STAGES

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from featcli.stage import Param, Stage

_MODEL = "imagenet"  # the default
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+=@%,-]+|\|")
Complete = Callable[["click.Context", "click.Parameter", str], "list[CompletionItem]"]


def _items(
    names: Iterable[str], begun: str, files: bool = False, before: str = ""
) -> list[CompletionItem]:
    """Return the names that begin with the typed text; if none does, optionally files.

    `before` is put before each name. Names that a shell would not take as they stand are left out,
    because bash inserts them without quotes: those of a model may be anything.
    """
    from click.shell_completion import CompletionItem

    safe = (before + name for name in names if _PLAIN.fullmatch(name))
    found = [CompletionItem(text) for text in safe if text.startswith(begun)]
    return found or ([CompletionItem(begun, type="file")] if files else [])


def _never_failing(complete: Complete) -> Complete:
    """Return nothing if completion fails: a traceback would be printed into the prompt."""

    def safe(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return complete(ctx, param, begun)
        except Exception:
            return []

    return safe


def kernel_names() -> list[str]:
    """Return the names of kernels, and of formulas with the colon that follows them."""
    from featcli import kernels, plugins
    from featcli.formulas import FORMULAS

    formulas = [f"{name}:" for name in FORMULAS]
    return [*kernels.names(), *plugins.names(plugins.KERNELS), *formulas]


@_never_failing
def kernels(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete kernels, otherwise files."""
    return _items(kernel_names(), begun, files=True)


@_never_failing
def values(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the value of a stage's parameter: its choices, kernels, models or layers."""
    declared: Param = param.type.declared  # type: ignore[attr-defined]
    may_be_file = declared.converter.metavar in ("KERNEL", "FILE", "NAME|PATH")
    return _items(_values(declared, _model_of(ctx)), begun, files=may_be_file)


@_never_failing
def models(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the included models, otherwise files."""
    return _items(_models(), begun, files=True)


def _models() -> list[str]:
    from featcli.models.loading import shipped

    return shipped()


@_never_failing
def layers(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the layers of the model on the command line."""
    return _items(_layers(_model_of(ctx)), begun)


def _model_of(ctx: click.Context) -> str:
    return str(ctx.params.get("model") or _MODEL)


def _layers(model: str) -> list[str]:
    from featcli.cli.model_summary import describe, model_path

    path = model_path(model)
    return [row["name"] for row in describe(path)["layers"]] if path else []


@_never_failing
def data_sets(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the included data set, otherwise files and folders."""
    return _items(["digits"], begun, files=True)


@_never_failing
def commands(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the names of commands."""
    root: Any = ctx.find_root().command
    return _items(root.list_commands(ctx), begun)


@_never_failing
def saved_pipelines(
    _ctx: click.Context, _param: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Complete the names of saved pipelines."""
    from featcli.cli import saved_pipelines

    return _items(saved_pipelines.names(), begun)


@_never_failing
def plugins(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the names of stages and kernels of plugins."""
    from featcli import plugins

    return _items([name for group in plugins.GROUPS for name in plugins.names(group)], begun)


@_never_failing
def networks(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a network to train, or the last word of a pipeline of layers."""
    from featcli.models.learning.architectures import NAMED
    from featcli.models.network import find
    from featcli.models.operations.registry import STAGE_LAYERS
    from featcli.stage import LEARNED

    return _items(NAMED, begun) or _steps(begun, [*LEARNED, *STAGE_LAYERS], find)


@_never_failing
def pipeline(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the last word of a pipeline; each candidate is the whole text up to it."""
    from featcli import plugins, stage

    return _steps(begun, [*STAGES, *plugins.names(plugins.STAGES)], stage.get)


def _steps(begun: str, names: Sequence[str], find: Callable[[str], Stage]) -> list[CompletionItem]:
    """Complete the last word of a text of steps, which are called `names`."""
    before, words, last = _split(begun)
    following = _next_words(find(words[0]), words, last) if words else names
    return _items(following, begun, before=before)


def _split(text: str) -> tuple[str, list[str], str]:
    """Return the text before the last word, the preceding words of its step, and that word."""
    start = max(text.rfind(" "), text.rfind("|")) + 1
    step = text[:start].rpartition("|")[2]
    words = shlex.split(step)  # raises within open quotes, such as a kernel's numbers
    return text[:start], words, text[start:]


def _next_words(stage: Stage, words: Sequence[str], last: str) -> list[str]:
    """Return the words that can follow those of a step."""
    options = {name: param for param in stage.params for name in (param.option, param.short)}
    before = options.get(words[-1])
    model = _model_in(words[1:])
    if before and not before.flag:
        return _values(before, model)
    if last.startswith("-"):
        return [param.option for param in stage.params]
    values = [word for param in stage.params if param.word for word in _values(param, model)]
    return [*values, "|"]


def _model_in(words: Sequence[str]) -> str:
    """Return the model that the arguments and options of a step name, or the default one."""
    named = [after for word, after in pairwise(words) if word in ("--model", "-m")]
    first = [word for word in words[:1] if not word.startswith("-")]
    return next(iter(named + first), _MODEL)


def _values(param: Param, model: str) -> list[str]:
    known: dict[str, Callable[[], list[str]]] = {
        "KERNEL": kernel_names,
        "NAME|PATH": _models,
        "LAYER": partial(_layers, model),
    }
    return list(param.choices) or known.get(param.converter.metavar, list)()
