"""What flows through every stage: an array that knows what it is and where it came from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Value = str | int | float | bool | None | tuple["Value", ...]


class Step(NamedTuple):
    """One thing that was done: a stage and the parameters it was given, text and numbers only."""

    stage: str
    params: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, stage: str, **params: Value) -> Self:
        """Make a step from keyword arguments, in their order."""
        return cls(stage, tuple((name, _freeze(value)) for name, value in params.items()))

    def to_json(self) -> dict[str, Any]:
        """Return what `json` can write; `from_json` gives the same step again."""
        return {"stage": self.stage, "params": dict(self.params)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; raises ValueError for anything else."""
        stage, params = data.get("stage"), data.get("params")
        if not isinstance(stage, str) or not isinstance(params, dict):
            raise ValueError("a step has a stage and its params")
        return cls.of(stage, **params)


def _freeze(value: Any) -> Value:
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError(f"a step holds text and numbers, not {type(value).__name__}")


class Source(NamedTuple):
    """Where a frame came from.

    Attributes
    ----------
    key : str
        The image's relative path without its suffix; names every output.
    file : str
        The file that was read, as it was given.
    """

    key: str = "array"
    file: str = ""


class Frame:
    """An array on its way through the stages; immutable, small, picklable.

    Attributes
    ----------
    data : ndarray
        Maps, `(rows, cols, channels)`, or a vector, `(n,)`. Read-only.
    labels : tuple of str
        A name per channel, or per element of a vector; empty for a vector without names.
    source : Source
        Where it came from.
    part : str
        Which of several results of one image this is, such as `"R"`; else empty.
    history : tuple of Step
        What was done to it.
    row_length : int
        How many values of a vector were one row of the maps that it was flattened from; 0 where
        that is not known.
    """

    __slots__ = ("data", "labels", "source", "part", "history", "row_length")  # noqa: RUF023
    data: Array
    labels: tuple[str, ...]
    source: Source
    part: str
    history: tuple[Step, ...]
    row_length: int

    def __init__(
        self,
        data: npt.ArrayLike,
        labels: Sequence[str] = (),
        source: Source = Source(),  # noqa: B008
        part: str = "",
        history: tuple[Step, ...] = (),
        row_length: int = 0,
    ) -> None:
        maps = np.asarray(data)
        if maps.ndim == 2:
            maps = maps[:, :, np.newaxis]
        check_shape(maps.shape)
        view = maps.view()
        view.flags.writeable = False
        fields = (view, _labels(labels, view), source, part, history, row_length)
        for name, value in zip(Frame.__slots__, fields, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a frame is immutable: replace({name}=...) gives another one")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__slots__)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.data.shape))
        steps = " | ".join(step.stage for step in self.history)
        done = f": {steps}" if steps else ""
        return f"<Frame {self.source.key!r} {shape} {self.data.dtype}{done}>"

    def _repr_png_(self) -> bytes | None:
        """Show itself in a notebook, as the picture that the commands write of it."""
        return _shown("png", self)

    def _repr_html_(self) -> str | None:
        """Show itself in a notebook: the picture, and what it is."""
        return _shown("page", self)

    @property
    def kind(self) -> str:
        """`"maps"` or `"vector"`."""
        return kind(self.data)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{name: getattr(self, name) for name in self.__slots__} | changes)


class Frames(list[Frame]):
    """The results of one picture, which show themselves side by side in a notebook."""

    def _repr_html_(self) -> str | None:
        return _shown("pages", self)


def _shown(how: str, what: Any) -> Any:
    """Draw for a notebook; None, so that it shows the text, for what cannot be drawn.

    Drawing stands far above this in the house: it is found by its name, as stages are.
    """
    try:
        return getattr(importlib.import_module("featcli.view.notebook"), how)(what)
    except ValueError:
        return None


class LargeFrame(Frame):
    """Maps whose numbers are not held, but read or computed some rows at a time.

    Parameters
    ----------
    rows : callable
        `rows(begin, end)` gives these rows, (end - begin, cols, channels); cheap in their order.
    shape : tuple of int
    dtype : dtype
    labels, source, part, history
        As of a `Frame`.
    height : int
        How many rows are best asked for at a time.
    cost : int
        Bytes that giving some rows takes besides them.

    Attributes
    ----------
    data : ndarray
        Of its shape and type, and all zeros: it takes no memory, and is not to be read.
    """

    __slots__ = ("cost", "height", "rows")
    rows: Callable[[int, int], Array]
    height: int
    cost: int

    def __init__(
        self,
        rows: Callable[[int, int], Array],
        shape: Sequence[int],
        dtype: np.dtype[Any],
        labels: Sequence[str] = (),
        source: Source = Source(),  # noqa: B008
        part: str = "",
        history: tuple[Step, ...] = (),
        height: int = 1,
        cost: int = 0,
    ) -> None:
        super().__init__(stand_in(shape, dtype), labels, source, part, history)
        for name, value in (("rows", rows), ("height", height), ("cost", cost)):
            object.__setattr__(self, name, value)

    def strips(self) -> Iterator[Array]:
        """Yield all rows, `height` at a time."""
        for begin in range(0, len(self.data), self.height):
            yield self.rows(begin, min(begin + self.height, len(self.data)))


def stand_in(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Return zeros of a shape and type that take no memory."""
    return np.broadcast_to(np.zeros((), dtype), tuple(shape))


def kind(data: Array) -> str:
    """Return `"vector"` for one axis, else `"maps"`."""
    return "vector" if data.ndim == 1 else "maps"


def check_shape(shape: Sequence[int]) -> None:
    """Raise ValueError unless `shape` is that of maps or of a vector."""
    if len(shape) not in (1, 2, 3):
        raise ValueError(
            f"an array of shape {tuple(shape)} is neither maps (rows, cols, channels) "
            "nor a vector (n,)"
        )
    if 0 in shape:
        raise ValueError(f"an array of shape {tuple(shape)} is empty")


def _labels(labels: Sequence[str], data: Array) -> tuple[str, ...]:
    count = data.shape[-1]
    if labels and len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} channels")
    if labels or data.ndim == 1:
        return tuple(labels)
    return tuple(str(channel) for channel in range(count))


class Sample(NamedTuple):
    """All the parts of one image, which travel together; or the error that it died of.

    Attributes
    ----------
    source : Source
        What the parts have in common.
    frames : tuple of Frame
        One, or one for each part.
    notes : tuple of str
        What a person should know, such as a depth that was lost in reading.
    error : str
        Why there are no frames; else empty.
    """

    source: Source
    frames: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
