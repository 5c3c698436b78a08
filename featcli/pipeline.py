"""Pipelines: parse their text, check that the stages fit together, and run them on frames."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import plugins
from featcli import stage as stages
from featcli.errors import StageError, UsageError, nearest
from featcli.frame import Array, Frame, Frames, Step, Value, kind
from featcli.stage import Param, Stage

Watch = Callable[[Step, Frame, list[Frame]], None]


class Pipeline:
    """A sequence of stages, such as `convolve vertical | relu | pool 2 | flatten`.

    Parameters
    ----------
    text : str or iterable of Step
        Steps separated by `|`. Each is the name of a stage, followed by its arguments and options
        (`pool 2 --kind mean`), with the quoting of a shell.
    watch : callable, optional
        Called as `watch(step, frame, results)` after each step on each frame.

    Attributes
    ----------
    gives : str or None
        What the last stage returns: `"maps"`, `"vector"`, or None where that depends on the input.

    Raises
    ------
    UsageError
        A stage or option is unknown, a value is out of range, or a stage does not accept what the
        one before it returns.
    """

    takes_strips = True  # a picture larger than memory may be run in strips of rows

    def __init__(self, text: str | Iterable[Step], watch: Watch | None = None) -> None:
        self.steps = parse(text) if isinstance(text, str) else tuple(text)
        self.watch = watch
        self.gives = check(self.steps)

    def __call__(self, frame: Frame | npt.ArrayLike) -> Frame:
        """Run on one frame and return the single result; raises ValueError for several parts."""
        results = self.run(_as_frame(frame))
        if len(results) != 1:
            raise ValueError(f"{self} gives {len(results)} parts: use run(), which returns a list")
        return results[0]

    def run(self, frame: Frame | npt.ArrayLike) -> list[Frame]:
        """Run all steps on one frame or array; return a list of its results.

        Raises
        ------
        StageError
            A stage does not accept its input; the message names the step and the shape.
        """
        return Frames(self._run(_as_frame(frame)))

    def _run(self, frame: Frame) -> list[Frame]:
        frames = [frame]
        for step in self.steps:
            frames = [result for one in frames for result in self._apply(step, one)]
        return frames

    def _apply(self, step: Step, frame: Frame) -> list[Frame]:
        results = apply(step, frame)
        if self.watch:
            self.watch(step, frame, results)
        return results

    @property
    def splits(self) -> bool:
        """Whether one image gives several results."""
        return any(stages.get(step.stage).gives == "parts" for step in self.steps)

    @property
    def has_several_vectors(self) -> bool:
        """Whether a row of a table (one image) has several vectors."""
        return self.splits

    @property
    def recipe(self) -> tuple[Step, ...]:
        """All steps, as the outputs record them."""
        return self.steps

    @property
    def about(self) -> dict[str, Any]:
        """How a table was made, as JSON; its `pipeline` is a text that can be run again."""
        return {"pipeline": str(self)}

    def decode_size(self, rows: int, cols: int) -> tuple[int, int, str] | None:
        """Return rows, columns and filter if the first stage resizes the picture, else None."""
        hook = stages.get(self.steps[0].stage).decode_size
        return hook(rows, cols, **dict(self.steps[0].params)) if hook else None

    @property
    def pixel_range(self) -> int:
        """The largest pixel value that the first stage expects; 0 for pixels as in the file."""
        hook = stages.get(self.steps[0].stage).pixel_range
        return hook(**dict(self.steps[0].params)) if hook else 0

    def memory(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Estimate the most bytes that a run needs besides its input; see `memory`."""
        return memory(self.steps, shape, dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out `watch`, which belongs to this process."""
        return self.__dict__ | {"watch": None}

    def for_workers(self) -> list[Any]:
        """Return the objects whose `take()` each worker process calls first; see `stage(once=)`."""
        hooks = [(stages.get(step.stage).once, dict(step.params)) for step in self.steps]
        return [made for once, params in hooks if once and (made := once(**params))]

    def hand_over(self) -> Any:
        """Return what the process that writes the results needs besides them: here nothing."""
        return None

    def take_over(self, kept: Any) -> None:
        """Accept what `hand_over` returned in another process."""

    def outline(self, frame: Frame) -> list[tuple[str, tuple[Step, ...]]]:
        """Return part and history of each result without computing it."""
        heads = [(frame.part, frame.labels)]
        for step in self.steps:
            heads = [result for head in heads for result in _outline(step, *head)]
        return [(part, frame.history + self.steps) for part, _ in heads]

    def __str__(self) -> str:
        return " | ".join(shlex.join(words(step)) for step in self.steps)

    def __repr__(self) -> str:
        return f"Pipeline({str(self)!r})"


Find = Callable[[str], Stage]


def parse(text: str, find: Find = stages.get) -> tuple[Step, ...]:
    """Parse the text of a pipeline; raises UsageError that names the step.

    `find` returns the stage of a name; models have other stages than pipelines.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split, lexer.commenters = True, ""
    pieces: list[list[str]] = [[]]
    try:
        for token in lexer:
            if token == "|":
                pieces.append([])
            else:
                pieces[-1].append(token)
    except ValueError as error:
        raise UsageError(f"pipeline {text!r}: {str(error).lower()}") from None
    return tuple(parse_step(number, piece, find) for number, piece in enumerate(pieces, 1))


def parse_step(number: int, tokens: Sequence[str], find: Find = stages.get) -> Step:
    """Parse the words of one step; raises UsageError that names its number."""
    if not tokens:
        raise UsageError(f"step {number} is empty: name a stage between the bars")
    try:
        stage = find(tokens[0])
        return make_step(stage, _arguments(stage, tokens[1:]))
    except ValueError as error:
        raise UsageError(f"step {number} ({tokens[0]}): {error}") from None


def make_step(stage: Stage, given: dict[str, Any]) -> Step:
    """Make a step from arguments and defaults; raises ValueError if a required one is missing."""
    for param in stage.params:
        if param.required and param.name not in given:
            raise ValueError(f"needs {param.option} {param.converter.metavar}")
    params = {p.name: given.get(p.name, p.default) for p in stage.params}
    resolved = stage.resolve_params(**params) if stage.resolve_params else params
    return Step.of(stage.name, **resolved)


def _arguments(stage: Stage, tokens: Sequence[str]) -> dict[str, Any]:
    """Parse words and options into values by parameter name."""
    given: dict[str, Any] = {}
    words = [param for param in stage.params if param.word]
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        param, value = _option(stage, token) if _is_option(token) else (_word(words, token), token)
        if param.flag:
            given[param.name] = _no_value(param, value)
        elif value is None and not rest:
            raise ValueError(f"{param.option} needs a value")
        else:
            text = rest.pop(0) if value is None else value
            try:
                _store(given, param, text)
            except ValueError as error:
                hint = "" if _is_option(token) else suggestion(stage, text)
                raise ValueError(f"{error}{hint}") from None
    return given


def suggestion(stage: Stage, word: str) -> str:
    """Return `"; did you mean --size 2?"` if an option of the stage accepts `word`, else `""`."""
    for param in stage.params:
        with contextlib.suppress(ValueError):
            takes_any = param.converter.parse is str and not param.choices
            if (param.word or param.choices) and not takes_any and param.parse(word) is not None:
                return f"; did you mean {param.option} {word}?"
    return ""


def _is_option(token: str) -> bool:
    """Return whether a token is an option, not a negative number such as `-1` or `-.5`."""
    return len(token) > 1 and token[0] == "-" and not (token[1].isdigit() or token[1] == ".")


def _option(stage: Stage, token: str) -> tuple[Param, str | None]:
    name, equals, value = token.partition("=") if token.startswith("--") else (token[:2], "", "")
    if not token.startswith("--") and len(token) > 2:
        equals, value = "=", token[2:]
    for param in stage.params:
        if name in (param.option, param.short):
            return param, value if equals else None
    near = nearest(name, [param.option for param in stage.params])
    raise ValueError(f"no option {name}{near}")


def _word(words: list[Param], token: str) -> Param:
    if not words:
        raise ValueError(f"unexpected argument {token!r}")
    return words[0] if words[0].converter.many else words.pop(0)


def _no_value(param: Param, value: str | None) -> bool:
    if value is not None:
        raise ValueError(f"{param.option} takes no value")
    return True


def _store(given: dict[str, Any], param: Param, text: str) -> None:
    try:
        value = param.parse(text)
    except ValueError as error:
        raise ValueError(f"{param.option}: {error}") from None
    if param.converter.many:
        given[param.name] = (*given.get(param.name, ()), value)
    elif param.name in given:
        raise ValueError(f"{param.option} is given twice")
    else:
        given[param.name] = value


def words(step: Step, find: Find = stages.get) -> list[str]:
    """Return a step as words of a command line: the stage's name and its options."""
    stage = find(step.stage)
    given = dict(step.params)
    return [stage.name, *(w for p in stage.params for w in p.arguments(given[p.name]))]


def caption(history: Iterable[Step]) -> str:
    """Return a history as the text of a pipeline; it may have steps that this version has not."""
    return " | ".join(filter(None, map(_caption_of, history)))


# Parameters of the step `read`, and the options that a user writes for them.
_READ_OPTIONS = {"reduced": "--decode fast", "as_bytes": ""}


def _caption_of(step: Step) -> str:
    params = dict(step.params)
    if step.stage == "tile" and "row" in params:  # the same as a crop
        return "crop {height}x{width} --at {row},{col}".format(**params)
    if step.stage == "read" and not _READ_OPTIONS.keys().isdisjoint(params):
        rest = Step(step.stage, tuple(one for one in step.params if one[0] not in _READ_OPTIONS))
        options = [_READ_OPTIONS[name] for name in params if name in _READ_OPTIONS]
        text = " ".join(filter(None, [*_caption_of(rest).split(" ")[1:], *options]))
        return f"read {text}" if text else ""
    try:
        return shlex.join(words(step))
    except (ValueError, KeyError, TypeError):
        return shlex.join([step.stage, *_plain_options(params)])


def _plain_options(params: dict[str, Value]) -> Iterator[str]:
    """Yield the options of a stage that this version does not have, without the empty ones."""
    for name, value in params.items():
        if value not in (None, "", ()) and value is not False:
            yield f"--{name.rstrip('_').replace('_', '-')}"
            yield from () if value is True else (str(value),)


def check(steps: Sequence[Step], find: Find = stages.get) -> str | None:
    """Return what the last step returns: `"maps"`, `"vector"`, or None if it depends on the input.

    Raises
    ------
    UsageError
        A stage does not accept what the one before it returns.
    """
    current: str | None = None
    for number, step in enumerate(steps, 1):
        stage = find(step.stage)
        if current not in (None, stage.takes) and stage.takes != "any":
            raise UsageError(
                f"step {number} ({stage.name}) takes {_a(stage.takes)}, but step {number - 1} "
                f"({steps[number - 2].stage}) gives {_a(current)}{_remedy(stage.takes)}"
            )
        if stage.gives != "same":
            current = "maps" if stage.gives == "parts" else stage.gives
        elif stage.takes != "any":
            current = stage.takes
    return current


def _a(kind: str | None) -> str:
    return "a vector" if kind == "vector" else "maps"


def _remedy(takes: str) -> str:
    return ": put 'flatten' between them" if takes == "vector" else ": put it before 'flatten'"


def apply(step: Step, frame: Frame) -> list[Frame]:
    """Run one step on one frame and build the frames around its results."""
    stage, params = stages.get(step.stage), dict(step.params)
    if stage.takes not in ("any", frame.kind):
        given = f"{_a(frame.kind)} of shape {_shape(frame.data)}"
        raise StageError(f"{stage.name} takes {_a(stage.takes)}, not {given}")
    try:
        with np.errstate(all="ignore"):  # infinity and NaN are valid results: no warnings
            result = plugins.checked(stage.function, stage.function(frame.data, **params))
    except MemoryError as error:
        why = f"not enough memory, from shape {_shape(frame.data)}"
        raise StageError(f"{shlex.join(words(step))}: {why}") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except plugins.failures(stage.function) as error:
        raise StageError(f"{shlex.join(words(step))}: {plugins.reason(error)}") from error
    row_length = stage.row_length_of(frame.data, result, params) if stage.gives != "parts" else 0
    if row_length is not None:
        frame = frame.replace(row_length=row_length)
    if stage.gives == "parts":
        named = zip(result, stage.labels_of(frame.labels, params), strict=True)
        return [_rebuild(frame, step, data, (label,), label) for data, label in named]
    return [_rebuild(frame, step, result, stage.labels_of(frame.labels, params))]


def memory(steps: Iterable[Step], shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Estimate the most bytes that steps need at a time besides their input."""
    shape = (*shape, 1) if len(shape) == 2 else shape
    most = held = 0
    for step in steps:
        stage, params = stages.get(step.stage), dict(step.params)
        try:
            after = stage.shape_of(shape, params)
            work = stage.work_on(shape, dtype, params)
        except (ValueError, IndexError, ZeroDivisionError):
            break  # the stage itself will raise the error when it runs
        shape, dtype = after, stage.dtype_of(dtype, params)
        size = math.prod(shape) * dtype.itemsize
        most, held = max(most, held + work + size), size
    return most


def _outline(step: Step, part: str, labels: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    stage = stages.get(step.stage)
    named = stage.labels_of(labels, dict(step.params))
    if stage.gives != "parts":
        return [(part, named)]
    return [(".".join(filter(None, (part, label))), (label,)) for label in named]


def _rebuild(
    frame: Frame, step: Step, data: Array, labels: tuple[str, ...], part: str = ""
) -> Frame:
    kept = labels if len(labels) == data.shape[-1] or kind(data) == "maps" else ()
    parts = ".".join(filter(None, (frame.part, part)))
    return frame.replace(data=data, labels=kept, part=parts, history=(*frame.history, step))


def _as_frame(frame: Frame | npt.ArrayLike) -> Frame:
    if isinstance(frame, str):
        raise TypeError(
            f"a pipeline takes a frame or an array: featcli.read({frame!r}) reads a file"
        )
    return frame if isinstance(frame, Frame) else Frame(np.asarray(frame))


def _shape(data: Array) -> str:
    return "x".join(map(str, data.shape))
