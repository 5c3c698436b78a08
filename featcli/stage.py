"""Stages: functions `array -> array` that are registered by the decorator `@stage`.

Command, options, help, pipeline step and documentation all derive from this declaration. Parameters
and types are read from the function's signature, help from its numpydoc docstring; `@stage` adds
the kinds of input and result, and how the result is labelled.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import numpy as np
import numpy.typing as npt

from featcli import plugins
from featcli._index import COMMANDS, STAGES
from featcli.docstrings import docstring, parameter_texts, sections
from featcli.errors import nearest
from featcli.windows import Rows, Window

Array = npt.NDArray[Any]
Kind = Literal["maps", "vector", "any"]
Gives = Literal["maps", "vector", "same", "parts"]
Function = TypeVar("Function", bound=Callable[..., Any])
DecodeSize = Callable[..., tuple[int, int, str] | None]

WORK = 16.0  # default of the working memory in bytes for each value: two float64
REGISTRY: dict[str, Stage] = {}
LEARNED: dict[str, Stage] = {}

BUILT_IN = frozenset((*STAGES, *COMMANDS))  # names that plugins cannot have
# The stages that run a model.
OF_MODELS = tuple(name for name, (module, _) in STAGES.items() if module.startswith("models."))


class Converter(NamedTuple):
    """How to parse and format a parameter: put one into `Annotated[...]`.

    `parse` turns text into the value that the history stores (text, numbers, tuples of them) or
    raises ValueError; `show` is its inverse; `tag` formats the value for a file name. If `parse`
    may open files, `plain` parses without doing so.
    """

    parse: Callable[[str], Any]
    metavar: str
    show: Callable[[Any], str] = str
    tag: Callable[[Any], str] | None = None
    many: bool = False
    plain: Callable[[str], Any] | None = None


def at_least(low: int, /, **values: int | None) -> None:
    """Raise ValueError for a value that is not an integer of at least `low`; None is allowed."""
    for name, value in values.items():
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and (not is_whole or value < low):
            raise ValueError(f"{name} must be a whole number of at least {low}, not {value!r}")


def one_of(choices: Any, /, **values: str) -> None:
    """Raise ValueError for a value that is not one of a `Literal`'s choices."""
    for name, value in values.items():
        if value not in get_args(choices):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {value!r}")


def whole_number(text: str) -> int:
    """Parse an integer; raises ValueError."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def positive(text: str) -> int:
    """Parse an integer of at least 1; raises ValueError."""
    value = whole_number(text)
    if value < 1:
        raise ValueError(f"must be a whole number of at least 1, not {value}")
    return value


def number(text: str) -> float:
    """Parse a finite number; raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not np.isfinite(value):
        raise ValueError(f"must be a finite number, not {text}")
    return value


Positive = typing.Annotated[int, Converter(positive, "N")]
_PLAIN: dict[Any, Converter] = {
    int: Converter(whole_number, "N"),
    float: Converter(number, "X", repr, lambda value: repr(value).removesuffix(".0")),
    str: Converter(str, "TEXT"),
}


class Param(NamedTuple):
    """A parameter of a stage: an option, and (if `word`) also a positional argument."""

    name: str
    help: str
    default: Any
    required: bool
    word: bool
    flag: bool
    choices: tuple[str, ...]
    converter: Converter

    @property
    def option(self) -> str:
        """The long option, such as `--stride`."""
        return "--" + self.name.rstrip("_").replace("_", "-")

    @property
    def short(self) -> str | None:
        """The one-letter option of a positional argument, such as `-k` for the kernel."""
        return f"-{self.name[0]}" if self.word else None

    def parse(self, text: str) -> Any:
        """Turn text into the value; raises ValueError."""
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        return self.converter.parse(text)

    def arguments(self, value: Any) -> list[str]:
        """Return the option and `value` as command-line arguments; none for the default."""
        if value == self.default:
            return []
        if self.flag:
            return [self.option]
        values = value if self.converter.many else (value,)
        return [piece for one in values for piece in (self.option, self.converter.show(one))]

    def tag(self, value: Any) -> str:
        """Return `value` as a part of a file name."""
        if value is None:
            return ""
        show = self.converter.tag or self.converter.show
        return "+".join(map(show, value)) if self.converter.many else show(value)


@dataclass(frozen=True, eq=False, repr=False)
class Stage:
    """A registered stage: the function and what `@stage` declares of it (see there)."""

    function: Callable[..., Any]
    takes: Kind
    gives: Gives
    labels: Callable[..., Sequence[str]] | None
    tag_format: str | Callable[..., str]
    dtype: str | Callable[..., Any]
    explain: Callable[..., str] | None = None
    decode_size: DecodeSize | None = None
    pixel_range: Callable[..., int] | None = None
    resolve_params: Callable[..., Mapping[str, Any]] | None = None
    learned: bool = False
    shape: Callable[..., tuple[int, ...]] | None = None
    work: float | Callable[..., int] = WORK
    row_length: Callable[..., int] | None = None
    rows: Rows | None = None
    once: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The command's name: the function's, with dashes (but underscores for a learned layer)."""
        name: str = self.function.__name__
        return name if self.learned else name.replace("_", "-")

    @cached_property
    def doc(self) -> dict[str, str]:
        """The docstring's sections by title; the text before them is `Summary`."""
        return sections(docstring(self.function))

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """The parameters after the input array."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        texts = parameter_texts(self.doc.get("Parameters", ""))
        listed = list(inspect.signature(self.function).parameters.values())[1:]
        return tuple(_param(p, hints[p.name], texts.get(p.name, "")) for p in listed)

    def param(self, name: str) -> Param:
        """Return the parameter called `name`."""
        return next(param for param in self.params if param.name == name)

    def without_files(self) -> Stage:
        """Return a copy of the stage whose parameters are parsed without opening files."""
        plain = [(param, param.converter) for param in self.params]
        found = replace(self)
        found.__dict__["params"] = tuple(
            param._replace(converter=one._replace(parse=one.plain or one.parse))
            for param, one in plain
        )
        return found

    def labels_of(self, labels: tuple[str, ...], params: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the result's channels."""
        return tuple(self.labels(labels, **params)) if self.labels else labels

    def dtype_of(self, dtype: np.dtype[Any], params: Mapping[str, Any]) -> np.dtype[Any]:
        """Return the type of the result."""
        if callable(self.dtype):
            return np.dtype(self.dtype(dtype, **params))
        if self.dtype == "same" or (self.dtype == "float" and dtype.kind == "f"):
            return dtype
        return np.dtype(np.float32)

    def shape_of(self, shape: tuple[int, ...], params: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the shape of the result; if there are several parts, of all of them together."""
        if self.shape:
            return self.shape(shape, **params)
        return (math.prod(shape),) if self.gives == "vector" else shape

    def row_length_of(self, before: Array, result: Array, params: Mapping[str, Any]) -> int | None:
        """Return how many values of a vector were one row of maps; None if that is unchanged."""
        if self.row_length:
            return self.row_length(before.shape, **params)
        return None if self.gives == "same" and before.shape == result.shape else 0

    def work_on(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], params: Mapping[str, Any]
    ) -> int:
        """Estimate the bytes of working memory, besides the input and the result."""
        if callable(self.work):
            return self.work(shape, dtype, **params)
        values = max(math.prod(shape), math.prod(self.shape_of(shape, params)))
        return int(values * self.work)

    def window(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], params: Mapping[str, Any]
    ) -> Window:
        """Return which input rows a row of the result depends on; raises ValueError if on all."""
        if self.rows is None or (self.takes == "any" and len(shape) == 1):
            raise ValueError("it needs the whole picture at once")
        return self.rows(shape, dtype, **params)

    def tag(self, params: Mapping[str, Any]) -> str:
        """Return the stage's part of a file name, with the parameters that are not the default."""
        form = self.tag_format(**params) if callable(self.tag_format) else self.tag_format
        shown = {param.name: param.tag(params[param.name]) for param in self.params}
        used = set(re.findall(r"{(\w+)}", form))
        extra = "".join(
            f"_{param.option[2:]}" if param.flag else f"_{param.option[2:]}={shown[param.name]}"
            for param in self.params
            if param.name not in used and params[param.name] != param.default
        )
        return safe_tag(form.format(**shown) + extra)


def safe_tag(text: str) -> str:
    """Return `text` for a file name: only `[A-Za-z0-9_+=-]`, cut to 60 characters with a hash."""
    tag = re.sub(r"[^A-Za-z0-9_+=-]", "_", text.replace(".", "p"))
    if len(tag) <= 60:
        return tag
    import hashlib

    return f"{tag[:51]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def stage(
    *,
    takes: Kind,
    gives: Gives,
    labels: Callable[..., Sequence[str]] | None = None,
    tag: str | Callable[..., str] | None = None,
    dtype: str | Callable[..., Any] = "float32",
    explain: Callable[..., str] | None = None,
    decode_size: DecodeSize | None = None,
    pixel_range: Callable[..., int] | None = None,
    resolve_params: Callable[..., Mapping[str, Any]] | None = None,
    learned: bool = False,
    shape: Callable[..., tuple[int, ...]] | None = None,
    work: float | Callable[..., int] = WORK,
    row_length: Callable[..., int] | None = None,
    rows: Rows | None = None,
    once: Callable[..., Any] | None = None,
) -> Callable[[Function], Function]:
    """Register a function as a stage and return it unchanged.

    Parameters
    ----------
    takes, gives : str
        `"maps"` (rows, cols, channels), `"vector"` (n,) or `"any"`; a result may also be the
        `"same"` kind as the input, or `"parts"`: a tuple of maps, one for each channel.
    labels : callable, optional
        `labels(labels, **params)` returns the labels of the result; by default they stay.
    tag : str or callable, optional
        The stage's part of a file name, with fields for parameters: `"{kind}{size}"`; or
        `tag(**params)` that returns it. Other parameters are added if they are not the default.
    dtype : str or callable
        Type of the result: `"float32"`, `"same"`, `"float"` (floats stay, all others become
        float32), or `dtype(input_dtype, **params)`.
    explain : callable, optional
        `explain(x, **params)` returns a text on how the result will be computed.
    decode_size : callable, optional
        `decode_size(rows, cols, **params)` returns rows, columns and filter if the stage first
        resizes the picture, so that a larger JPEG can be decoded at a reduced size; else None.
    pixel_range : callable, optional
        `pixel_range(**params)` returns the largest pixel value that the stage expects; 0 for any.
    resolve_params : callable, optional
        `resolve_params(**params)` returns the parameters to record, with all that is implied made
        explicit; raises ValueError for values that do not go together.
    learned : bool
        Whether this is a layer whose weights come from a model: it can be written in a model's
        pipeline, but is not a command. Its function takes the input's shape.
    shape : callable, optional
        `shape(input_shape, **params)` returns the result's; by default the input's, or flat (n,).
    work : float or callable
        Working memory in bytes besides input and result: per value of the larger of the two, or
        in all by `work(input_shape, input_dtype, **params)`.
    row_length : callable, optional
        `row_length(input_shape, **params)` returns how many values of the vector are one row of the
        input maps, for a stage that keeps all values in their order.
    rows : callable, optional
        `rows(input_shape, input_dtype, **params)` returns the `Window` of input rows that a row of
        the result depends on (`windows.each`: the same row), so that large pictures can be computed
        in strips; raises ValueError if parameters forbid it. By default the stage cannot do so.
    once : callable, optional
        `once(**params)` returns an object that is made once and pickled to all worker processes,
        where its method `take()` is called; or None.
    """

    def register(function: Function) -> Function:
        name = function.__name__ if learned else function.__name__.replace("_", "-")
        if not learned and name in BUILT_IN and plugins.is_foreign(function):
            raise ValueError(f"featcli has a stage or command {name!r} already: choose another")
        form = name if tag is None else tag
        table = LEARNED if learned else REGISTRY
        table[name] = Stage(
            function, takes, gives, labels, form, dtype, explain, decode_size, pixel_range,
            resolve_params, learned, shape, work, row_length, rows, once,
        )  # fmt: skip
        return function

    return register


def get(name: str) -> Stage:
    """Return the stage called `name`; import its module or plugin if necessary."""
    if name not in REGISTRY:
        if name in STAGES:
            importlib.import_module(f"featcli.{STAGES[name][0]}")
        elif not from_plugin(name):
            raise ValueError(f"no stage {name!r}{nearest(name, STAGES)}")
    return REGISTRY[name]


def from_plugin(name: str) -> bool:
    """Import the stage from a plugin; return False if none has it; raises ValueError if broken."""
    entry = None if name in BUILT_IN else plugins.entry(plugins.STAGES, name)
    if entry:
        function = plugins.imported(entry)
        if name not in REGISTRY or REGISTRY[name].function is not function:
            raise plugins.refusal(entry, f"that is not a function under @stage called {name!r}")
        with plugins.guarding(entry, "its signature or docstring cannot be read: "):
            _ = REGISTRY[name].params, REGISTRY[name].doc["Summary"]
    return entry is not None


def _param(parameter: inspect.Parameter, hint: Any, text: str) -> Param:
    converter, choices = _converter(hint)
    return Param(
        name=parameter.name,
        help=text,
        default=None if parameter.default is parameter.empty else parameter.default,
        required=parameter.default is parameter.empty,
        word=parameter.kind is not parameter.KEYWORD_ONLY,
        flag=hint is bool,
        choices=choices,
        converter=converter,
    )


def _converter(hint: Any) -> tuple[Converter, tuple[str, ...]]:
    """Return the converter of a type, and its choices if it has any."""
    if get_origin(hint) is Literal:
        return Converter(str, "|".join(get_args(hint))), get_args(hint)
    if get_origin(hint) is typing.Annotated:
        choices = get_args(hint.__origin__) if get_origin(hint.__origin__) is Literal else ()
        return next(item for item in hint.__metadata__ if isinstance(item, Converter)), choices
    for option in get_args(hint):  # X | None is parsed as X
        if option is not type(None):
            return _converter(option)
    return _PLAIN.get(hint, _PLAIN[str]), ()
