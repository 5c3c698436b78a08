"""Frames: arrays with their channel labels, source and history, which stages take and return."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Value = str | int | float | bool | None | tuple["Value", ...]


class Step(NamedTuple):
    """One step of a pipeline: the name of a stage and its parameters (text and numbers only)."""

    stage: str
    params: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, stage: str, **params: Value) -> Self:
        """Make a step from keyword arguments, keeping their order."""
        return cls(stage, tuple((name, _freeze(value)) for name, value in params.items()))

    def to_json(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON; `from_json` is the inverse."""
        return {"stage": self.stage, "params": dict(self.params)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make a step from the dict that `to_json` returns; raises ValueError for any other."""
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
        The image's relative path without its suffix; outputs are named by it.
    file : str
        The path of the file that was read, as the user wrote it.
    """

    key: str = "array"
    file: str = ""


class Frame:
    """An array and what is known of it; immutable and picklable.

    Attributes
    ----------
    data : ndarray
        Maps, `(rows, cols, channels)`, or a vector, `(n,)`. Read-only.
    labels : tuple of str
        A name for each channel, or each element of a vector; empty for a vector without names.
    source : Source
        Where it came from.
    part : str
        Which of several results of one image this is, such as `"R"`; else empty.
    history : tuple of Step
        The steps that made it.
    row_length : int
        For a flattened vector, how many of its values were one row of the maps; 0 if unknown.
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
        """Show the frame in a notebook, as the picture that the commands write of it."""
        return _shown("png", self)

    def _repr_html_(self) -> str | None:
        """Show the frame in a notebook: the picture and a description."""
        return _shown("page", self)

    @property
    def kind(self) -> str:
        """`"maps"` or `"vector"`."""
        return kind(self.data)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{name: getattr(self, name) for name in self.__slots__} | changes)


class Frames(list[Frame]):
    """The results of one picture; a notebook shows them side by side."""

    def _repr_html_(self) -> str | None:
        return _shown("pages", self)


def _shown(how: str, what: Any) -> Any:
    """Draw for a notebook; return None, so that it shows the text, if there is no picture.

    The module is imported by its name because frames must not depend on drawing.
    """
    try:
        return getattr(importlib.import_module("featcli.view.notebook"), how)(what)
    except ValueError:
        return None


class LargeFrame(Frame):
    """Maps that are not kept in memory, but read or computed some rows at a time.

    Parameters
    ----------
    rows : callable
        `rows(begin, end)` returns these rows, (end - begin, cols, channels); it is fast when they
        are asked for from top to bottom.
    shape : tuple of int
    dtype : dtype
    labels, source, part, history
        As for `Frame`.
    height : int
        How many rows to ask for at a time.
    cost : int
        Bytes that `rows` needs besides its result.

    Attributes
    ----------
    data : ndarray
        Zeros of this shape and type, which take no memory; they tell nothing of the values.
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
    """Return a read-only array of zeros that takes no memory (by broadcasting)."""
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
    """The results of one image, or the error that it failed with.

    Attributes
    ----------
    source : Source
        The image that they come from.
    frames : tuple of Frame
        The result, or one for each part.
    notes : tuple of str
        Messages for the user, such as that the bit depth was reduced in reading.
    error : str
        Why there are no frames; else empty.
    """

    source: Source
    frames: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
