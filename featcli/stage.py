"""The declaration of a stage, from which everything else about it derives.

A stage is an ordinary function `array -> array`. Its parameters, types, ranges and choices are
read from its signature, its help from its numpydoc docstring; `@stage` adds what a function cannot
say of itself: what it takes and gives, and what its result is called.
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
from featcli._index import STAGES
from featcli.docstrings import docstring, parameter_texts, sections
from featcli.windows import Rows, Window

Array = npt.NDArray[Any]
Kind = Literal["maps", "vector", "any"]
Gives = Literal["maps", "vector", "same", "parts"]
Function = TypeVar("Function", bound=Callable[..., Any])
DecodeSize = Callable[..., tuple[int, int, str] | None]

WORK = 16.0  # bytes a value that a stage may take to compute: two float64 beside it
REGISTRY: dict[str, Stage] = {}
LEARNED: dict[str, Stage] = {}

# Stages that only a model has need for: found by name, but no rows of the index.
OF_MODELS = {"classify": "featcli.models.stages", "features": "featcli.models.stages"}


class Converter(NamedTuple):
    """How a parameter is written: put one into `Annotated[...]`.

    `parse` turns text into the value that the history stores (text, numbers, tuples of them) or
    raises ValueError; `show` is its inverse; `tag` names the value in a file name. Where
    `parse` may look a file up, `plain` is what reads a text of which no file may be looked up.
    """

    parse: Callable[[str], Any]
    metavar: str
    show: Callable[[Any], str] = str
    tag: Callable[[Any], str] | None = None
    many: bool = False
    plain: Callable[[str], Any] | None = None


def at_least(low: int, /, **values: int | None) -> None:
    """Raise ValueError for a value that is no whole number of at least `low`; None passes."""
    for name, value in values.items():
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and (not is_whole or value < low):
            raise ValueError(f"{name} must be a whole number of at least {low}, not {value!r}")


def one_of(choices: Any, /, **values: str) -> None:
    """Raise ValueError for a value that is none of a `Literal`'s choices."""
    for name, value in values.items():
        if value not in get_args(choices):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {value!r}")


def whole_number(text: str) -> int:
    """Read an integer; raises ValueError that says what would be right."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    value = whole_number(text)
    if value < 1:
        raise ValueError(f"must be a whole number of at least 1, not {value}")
    return value


def number(text: str) -> float:
    """Read a finite number."""
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
    """One parameter of a stage, as a word of a pipeline text and as an option."""

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
        """Words have a one-letter option too: `-k` for the kernel."""
        return f"-{self.name[0]}" if self.word else None

    def parse(self, text: str) -> Any:
        """Turn one piece of text into the value; raises ValueError."""
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        return self.converter.parse(text)

    def arguments(self, value: Any) -> list[str]:
        """Write the option with `value` as a shell's arguments; nothing for the default."""
        if value == self.default:
            return []
        if self.flag:
            return [self.option]
        values = value if self.converter.many else (value,)
        return [piece for one in values for piece in (self.option, self.converter.show(one))]

    def tag(self, value: Any) -> str:
        """Name `value` in a file name."""
        if value is None:
            return ""
        show = self.converter.tag or self.converter.show
        return "+".join(map(show, value)) if self.converter.many else show(value)


@dataclass(frozen=True, eq=False, repr=False)
class Stage:
    """A registered stage: the function, what it says of itself, and the hooks."""

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
        """The command's name: the function's, with dashes; a learned layer's has none."""
        name: str = self.function.__name__
        return name if self.learned else name.replace("_", "-")

    @cached_property
    def doc(self) -> dict[str, str]:
        """The docstring's sections by title; the text before them is `Summary`."""
        return sections(docstring(self.function))

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """Everything after the array."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        texts = parameter_texts(self.doc.get("Parameters", ""))
        listed = list(inspect.signature(self.function).parameters.values())[1:]
        return tuple(_param(p, hints[p.name], texts.get(p.name, "")) for p in listed)

    def param(self, name: str) -> Param:
        """Return the parameter called `name`."""
        return next(param for param in self.params if param.name == name)

    def without_files(self) -> Stage:
        """Return the same stage, whose parameters are read without looking any file up."""
        plain = [(param, param.converter) for param in self.params]
        found = replace(self)
        found.__dict__["params"] = tuple(
            param._replace(converter=one._replace(parse=one.plain or one.parse))
            for param, one in plain
        )
        return found

    def labels_of(self, labels: tuple[str, ...], params: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the result's channels."""
        return tuple(self.labels(labels, **params)) if self.labels else labels

    def dtype_of(self, dtype: np.dtype[Any], params: Mapping[str, Any]) -> np.dtype[Any]:
        """Type of the result."""
        if callable(self.dtype):
            return np.dtype(self.dtype(dtype, **params))
        if self.dtype == "same" or (self.dtype == "float" and dtype.kind == "f"):
            return dtype
        return np.dtype(np.float32)

    def shape_of(self, shape: tuple[int, ...], params: Mapping[str, Any]) -> tuple[int, ...]:
        """Shape of the result; of all parts in one, where there are several."""
        if self.shape:
            return self.shape(shape, **params)
        return (math.prod(shape),) if self.gives == "vector" else shape

    def row_length_of(self, before: Array, result: Array, params: Mapping[str, Any]) -> int | None:
        """How many values of a vector were one row of maps; None if that is as it was."""
        if self.row_length:
            return self.row_length(before.shape, **params)
        return None if self.gives == "same" and before.shape == result.shape else 0

    def work_on(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], params: Mapping[str, Any]
    ) -> int:
        """Estimate the bytes that computing takes besides its input and its result."""
        if callable(self.work):
            return self.work(shape, dtype, **params)
        values = max(math.prod(shape), math.prod(self.shape_of(shape, params)))
        return int(values * self.work)

    def window(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], params: Mapping[str, Any]
    ) -> Window:
        """Say which rows each row of the result is made of; raises ValueError where all are."""
        if self.rows is None or (self.takes == "any" and len(shape) == 1):
            raise ValueError("it needs the whole picture at once")
        return self.rows(shape, dtype, **params)

    def tag(self, params: Mapping[str, Any]) -> str:
        """Name this stage in a file name, with what differs from the defaults."""
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
    """Keep `[A-Za-z0-9_+=-]`; past 60 characters a short hash stands for the rest."""
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
        `labels(labels, **params)` names the result's channels; without it they stay.
    tag : str or callable, optional
        The name in file names, with fields for parameters: `"{kind}{size}"`; or `tag(**params)`
        that returns one. Others are added where they differ from their default.
    dtype : str or callable
        `"float32"`, `"same"`, `"float"` (floats stay, the rest float32), `dtype(input, **params)`.
    explain : callable, optional
        `explain(x, **params)` says how the result will be computed.
    decode_size : callable, optional
        `decode_size(rows, cols, **params)` gives rows, columns and filter of what a stage resizes
        a picture to first, so that a larger one may be decoded at a part of its size; or None.
    pixel_range : callable, optional
        `pixel_range(**params)` says up to which value the stage takes pixels; 0 as they are.
    resolve_params : callable, optional
        `resolve_params(**params)` returns what a history has: also what one of them leaves open.
        Raises ValueError for what cannot be.
    learned : bool
        A layer of a network, whose numbers come from its model: part of the pipeline grammar
        inside a model, no command. Its function takes the shape that reaches it.
    shape : callable, optional
        `shape(input_shape, **params)` gives the result's; else the input's, for vectors in a row.
    work : float or callable
        How many bytes computing takes besides input and result: for each value of the larger of
        the two, or `work(input_shape, input_dtype, **params)` in all.
    row_length : callable, optional
        `row_length(input_shape, **params)` says how many values of the vector are a row of the maps
        that came in, for a stage that keeps all in their order.
    rows : callable, optional
        `rows(input_shape, input_dtype, **params)` says which rows of its input a row of the result
        is made of (`windows.each`: the one in its place), so that a picture larger than memory can
        be computed in strips; raises ValueError that says why not where parameters forbid it.
        Without it, the stage needs the whole picture.
    once : callable, optional
        `once(**params)` returns what is made once for all processes that run the stage: an object
        that can be pickled, whose method `take()` is called in each; or None.
    """

    def register(function: Function) -> Function:
        name = function.__name__ if learned else function.__name__.replace("_", "-")
        if not learned and name in STAGES and not function.__module__.startswith("featcli."):
            raise ValueError(f"featcli has a stage {name!r} already: choose another name")
        form = name if tag is None else tag
        table = LEARNED if learned else REGISTRY
        table[name] = Stage(
            function, takes, gives, labels, form, dtype, explain, decode_size, pixel_range,
            resolve_params, learned, shape, work, row_length, rows, once,
        )  # fmt: skip
        return function

    return register


def get(name: str) -> Stage:
    """Return the stage called `name`, importing its module or its plugin if need be."""
    if name not in REGISTRY:
        module = OF_MODELS.get(name) or STAGES.get(name, ("",))[0]
        if module:
            importlib.import_module(module)
        elif not _from_plugin(name):
            raise ValueError(f"no stage {name!r}{nearest(name, STAGES)}")
    return REGISTRY[name]


def _from_plugin(name: str) -> bool:
    """Import a stage that another package brings; False where none does."""
    if entry := plugins.entry(plugins.STAGES, name):
        function = plugins.imported(entry)
        if name not in REGISTRY or REGISTRY[name].function is not function:
            raise plugins.refusal(entry, f"that is no function under @stage called {name!r}")
    return entry is not None


def nearest(name: str, names: typing.Iterable[str]) -> str:
    """Write `": did you mean ...?"`, or nothing when no name is near."""
    import difflib

    found = difflib.get_close_matches(name, list(names), n=3)
    return f": did you mean {' or '.join(found)}?" if found else ""


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
    """Find how a parameter of this type is written, and its choices if it has any."""
    if get_origin(hint) is Literal:
        return Converter(str, "|".join(get_args(hint))), get_args(hint)
    if get_origin(hint) is typing.Annotated:
        return next(item for item in hint.__metadata__ if isinstance(item, Converter)), ()
    for option in get_args(hint):  # X | None is written as X is
        if option is not type(None):
            return _converter(option)
    return _PLAIN.get(hint, _PLAIN[str]), ()
