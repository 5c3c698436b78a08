"""Computing what the page requests, and caching pictures, results and models within limits."""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featcli import budget
from featcli import stage as stages
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Frame, Sample, Source, Step
from featcli.io.options import ReadOptions
from featcli.pipeline import Pipeline, apply, check
from featcli.serve import snippets
from featcli.serve.cache import Cache
from featcli.serve.models import Models
from featcli.serve.steps import steps_of, words_of

MAX_PIXELS = 50_000_000
_DRAWN = 1_500_000  # most values of a picture; of more, every n-th row and column is drawn
_PAGE = 20_000_000
_TRACED = 12  # bytes of memory per value while a page is made
_LARGEST_PAGE = 20_000_000  # most values on a page
_PNGS = 16_000_000  # least size of the cache of PNGs: the page requests all PNGs of a run
_DRAWING = 40_000_000  # bytes of memory for drawing and describing a picture
_BEST = 5


class Gone(FeatError):
    """Something that a request names is not, or no longer, cached; it must be sent again."""


class Drawn(NamedTuple):
    """A PNG, and the mapping from its levels to values."""

    png: bytes
    mapping: dict[str, Any]


class Backend:
    """Pictures and the results computed from them; thread-safe.

    Parameters
    ----------
    max_memory : int
        Limit of the whole process, in bytes. A quarter is for pictures, a fifth for results, an
        eighth for their PNGs, a sixteenth for pages of `explain`. The memory of a step is
        estimated before it runs, as in the commands; if there is too little, cached results,
        pages and then other pictures are dropped.
    models : Models
    """

    def __init__(self, max_memory: int, models: Models) -> None:
        room = max(0, max_memory - budget.STARTED)
        self._room = room // 4
        self._max_memory, self.models = max_memory, models
        self._pictures: Cache[Frame] = Cache(self._room, lambda frame: frame.data.nbytes)
        self._kept: dict[str, Frame] = {}
        self._results: Cache[tuple[Frame, ...]] = Cache(room // 5, _bytes_of)
        self._pngs: Cache[Drawn] = Cache(max(room // 8, _PNGS), lambda one: len(one.png))
        self._pages: Cache[bytes] = Cache(max(room // 16, _PAGE), len)
        self._computing = threading.Lock()
        self.folder = Path(tempfile.mkdtemp(prefix="featcli-serve-"))

    def close(self) -> None:
        """Remove the folder of uploaded files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Input

    def add_picture(self, data: bytes, name: str, keep: bool = False) -> dict[str, Any]:
        """Read a picture like the commands do; return its name, shape and notes.

        With `keep` it is never dropped.
        """
        file = _short_name(name) or "picture.png"
        source = Source(Path(file).stem, file)
        with self._computing:
            try:
                sample = self._read(data, source)
            except FeatError as error:
                raise error.named(file) from error
        frame, notes = sample.frames[0], list(sample.notes)
        if len(sample.frames) > 1:
            notes.append(f"the first of {len(sample.frames)} is taken")
        key = hashlib.sha256(file.encode("utf-8", "replace") + data).hexdigest()[:32]
        if frame.data.nbytes > self._room:
            raise FeatError(f"{file}: takes more than a quarter of --max-memory: make it smaller")
        if keep:
            self._kept[key] = frame
        else:
            self._pictures.put(key, frame)
        return {"picture": key, "name": file, "notes": notes, **summary(frame)}

    def _read(self, data: bytes, source: Source) -> Sample:
        """Read a picture within the available memory, dropping cached results if necessary."""
        from featcli.io.reading import read_stream

        def left() -> ReadOptions:
            free = self._max_memory - self._cached_bytes() - len(data)
            return ReadOptions(max_pixels=MAX_PIXELS, max_memory=free)

        with suppress(budget.MemoryExceeded):
            return read_stream(io.BytesIO(data), source, left())
        self._drop_computed()
        with suppress(budget.MemoryExceeded):
            return read_stream(io.BytesIO(data), source, left())
        self._pictures.clear()  # the page sends those again that it still uses
        try:
            return read_stream(io.BytesIO(data), source, left())
        except budget.MemoryExceeded as error:
            budget.check(self._cached_bytes() + len(data) + error.needed, self._max_memory)
            raise

    def add_kernel(self, data: bytes, name: str) -> dict[str, Any]:
        """Read a kernel file; return its numbers, as text and as a list."""
        from featcli import kernels, matrices

        suffix = Path(name).suffix.lower()
        if suffix not in matrices.SUFFIXES:
            raise UsageError(
                f"the suffix of a kernel file must be one of {' '.join(matrices.SUFFIXES)}"
            )
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=suffix) as stream:
            stream.write(data)
            stream.flush()
            try:
                found = kernels.parse(stream.name)
            except ValueError as error:
                raise UsageError(f"{_short_name(name)}: {_without(stream.name, error)}") from None
        label = _label(Path(name).stem)
        return {"text": kernels.of(found.values, label).text, "values": found.values.tolist()}

    def add_model(self, data: bytes, name: str) -> dict[str, Any]:
        """Keep an uploaded model; return its id and name."""
        with self._computing:
            return self.models.add(data, _short_name(name), self.folder)

    # --- Output

    def run(self, picture: str, given: Any, view: str = "auto") -> dict[str, Any]:
        """Run steps on a picture, up to the first that fails, and draw the results.

        Returns
        -------
        dict
            `steps`: for each successful step its `key` and the `parts` of its result; `error`:
            None, or the number of the failed step (from 0) and a message; `text`, `command` and
            `python` of the successful steps.
        """
        frame = self._picture(picture)
        steps, error = _checked(given)
        done, failed = self._steps(picture, frame, steps, view)
        error = failed or error
        pipeline = Pipeline(steps[: len(done)])
        file = frame.source.file
        return {
            "steps": done,
            "error": error,
            "text": str(pipeline),
            "command": snippets.command(pipeline, file, view) if done else "",
            "python": snippets.python(pipeline, file),
        }

    def _steps(
        self, picture: str, frame: Frame, steps: Sequence[Step], view: str
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Compute and draw what is not cached; return descriptions of the results, and an error."""
        done: list[dict[str, Any]] = []
        frames: tuple[Frame, ...] = (frame,)
        key = picture
        with self._computing:
            for number, step in enumerate(steps):
                key = hashlib.sha256(f"{key} {step!r}".encode()).hexdigest()[:32]
                try:
                    frames = self._result(key, step, frames)
                except FeatError as error:
                    return done, {"step": number, "message": str(error)}
                for part, one in enumerate(frames):
                    self._draw(key, part, one, view)
                done.append({"key": key, "parts": [summary(one) for one in frames]})
        return done, None

    def _result(self, key: str, step: Step, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        found = self._results.get(key)
        if found is None:
            needed = sum(Pipeline([step]).memory(one.data.shape, one.data.dtype) for one in frames)
            self._free_memory(_bytes_of(frames) + needed)
            found = tuple(result for one in frames for result in apply(step, one))
            self._results.put(key, found)
        return found

    def _free_memory(self, needed: int) -> None:
        """Drop cached results if memory is short; raises MemoryExceeded if that is not enough."""
        needed += _DRAWING if self._max_memory > 8 * _DRAWING else 0
        if self._cached_bytes() + needed + budget.STARTED > self._max_memory:
            self._drop_computed()
        if self._cached_bytes() + needed + budget.STARTED > self._max_memory:
            self._pictures.keep_newest()  # the one in use
        budget.check(self._cached_bytes() + needed, self._max_memory)

    def _cached_bytes(self) -> int:
        """Return the size of everything that is cached, in bytes."""
        caches = (self._pictures, self._results, self._pngs, self._pages)
        return sum(one.held for one in caches) + _bytes_of(tuple(self._kept.values()))

    def _drop_computed(self) -> None:
        """Drop results and pages, which can be computed again; PNGs are about to be requested."""
        for cache in (self._results, self._pages):
            cache.clear()

    def _draw(self, key: str, part: int, frame: Frame, view: str) -> Drawn:
        name = f"{key}/{part}/{view}"
        found = self._pngs.get(name)
        if found is None:
            found = _drawn(frame, view)
            self._pngs.put(name, found)
        return found

    def drawn(self, key: str, part: int, view: str = "auto") -> Drawn:
        """Draw a picture or a result of a step, like the commands with `--view`."""
        found = self._pngs.get(f"{key}/{part}/{view}")
        if found is not None:
            return found
        picture = self._kept.get(key) or self._pictures.get(key)
        frames = (picture,) if picture is not None else self._results.get(key)
        if not frames or not 0 <= part < len(frames):
            raise Gone("this result is no longer cached: request it again")
        return self._draw(key, part, frames[part], view)

    def classify(self, picture: str, model: str) -> dict[str, Any]:
        """Return the most probable classes of a picture."""
        frame = self._picture(picture)
        found = self.models.get(model)
        with self._computing:
            try:
                shares = found.probabilities(frame.data)
            except ValueError as error:
                raise FeatError(f"{frame.source.file}: {error}") from error
        best = np.argsort(-shares, kind="stable")[:_BEST]
        labels = found.labels or tuple(map(str, range(len(shares))))
        return {"classes": [[labels[k], float(shares[k])] for k in best]}

    def explain(self, picture: str, given: Any, model: str) -> dict[str, Any]:
        """Make a page like `featcli explain`, of a model if one is named, else of the steps."""
        frame = self._picture(picture)
        steps = () if model else steps_of(given)
        if not model:
            check(steps)
            count = _count_values(frame, steps)
            if count > _LARGEST_PAGE:
                raise _too_large(frame)
            needed = Pipeline(steps).memory(frame.data.shape, frame.data.dtype)
            self._free_memory(frame.data.nbytes + needed + _TRACED * count)
        words = [] if model else words_of(steps)
        key = hashlib.sha256(repr((picture, words, model)).encode()).hexdigest()[:32]
        if self._pages.get(key) is None:
            with self._computing:
                self._pages.put(key, self._page(frame, steps, model))
        return {"page": key}

    def _page(self, frame: Frame, steps: tuple[Step, ...], model: str) -> bytes:
        from featcli.models.attribution import with_heats
        from featcli.models.tracing import trace_model, trace_pipeline
        from featcli.view.explain.packing import TooLarge
        from featcli.view.explain.page import page

        if model:
            network = self.models.get(model)
            trace = trace_model(network, frame)
            trace = with_heats(trace, lambda data: network.run(network.prepare(data)))
        else:
            trace = trace_pipeline(Pipeline(steps), frame)
        try:
            return page(trace, None, _PAGE).encode()
        except TooLarge:
            raise _too_large(frame) from None

    def page(self, key: str) -> bytes:
        """Return a page made by `explain`."""
        found = self._pages.get(key)
        if found is None:
            raise Gone(
                "this page is no longer available: open it again from the page of featcli serve"
            )
        return found

    def _picture(self, key: str) -> Frame:
        found = self._kept.get(key) or self._pictures.get(key)
        if found is None:
            raise Gone("the picture is no longer cached: send it again")
        return found


def _too_large(frame: Frame) -> FeatError:
    return FeatError(
        f"{frame.source.file}: the page would be larger than {budget.format_size(_PAGE)}: "
        "begin with 'resize' to fewer pixels"
    )


def _count_values(frame: Frame, steps: Sequence[Step]) -> int:
    """Return the number of values on a page of all layers."""
    shape = frame.data.shape
    count = 0 if steps and steps[0].stage == "resize" else frame.data.size
    with suppress(ValueError, IndexError, ZeroDivisionError):  # the stage will report the error
        for step in steps:
            shape = stages.get(step.stage).shape_of(shape, dict(step.params))
            count += math.prod(shape)
    return count


def _checked(given: Any) -> tuple[tuple[Step, ...], dict[str, Any] | None]:
    """Parse the steps; return those before the first wrong one, and the error."""
    steps: tuple[Step, ...] = ()
    if not isinstance(given, list):
        raise UsageError("steps must be a list")
    for number in range(len(given)):
        try:
            found = steps_of(given[: number + 1])
            check(found)
        except UsageError as error:
            return steps, {"step": number, "message": str(error)}
        steps = found
    return steps, None


def summary(frame: Frame) -> dict[str, Any]:
    """Describe an array: shape, type, and the range of its finite values."""
    data = frame.data
    finite = data if data.dtype.kind != "f" or bool(np.isfinite(data).all()) else _finite(data)
    has = finite.size > 0
    with np.errstate(over="ignore"):
        mean = float(finite.mean(dtype=np.float64)) if has else math.nan
    return {
        "part": frame.part,
        "shape": list(data.shape),
        "dtype": data.dtype.name,
        "min": finite.min().item() if has else None,
        "max": finite.max().item() if has else None,
        "mean": mean if math.isfinite(mean) else None,
        "odd": data.size - finite.size,
        "labels": [_short_name(one) for one in frame.labels[:64]],
    }


def _finite(data: Array) -> Array:
    return data[np.isfinite(data)]


def _drawn(frame: Frame, view: str) -> Drawn:
    from featcli.view.picture import draw
    from featcli.view.png import save_png

    data = frame.data
    every = max(1, math.ceil(math.sqrt(data.size / _DRAWN))) if data.ndim == 3 else 1
    shown = data[::every, ::every] if data.ndim == 3 else data
    picture = draw(shown, frame.labels, view, cells="auto", row_length=frame.row_length)
    stream = io.BytesIO()
    save_png(picture, stream, stored=True)
    info = picture.info
    mapping = {name: info.get(name) for name in ("view", "lo", "hi", "layout")}
    mapping |= {"every": every, "cells": bool(info.get("cells"))}
    return Drawn(stream.getvalue(), mapping)


def _bytes_of(frames: Sequence[Frame]) -> int:
    return sum(frame.data.nbytes for frame in frames)


def _short_name(text: str) -> str:
    """Return a file's name without folders and unprintable characters."""
    name = text.replace("\\", "/").rpartition("/")[2]
    return "".join(one for one in name if one.isprintable())[:80]


def _label(text: str) -> str:
    kept = "".join(
        one if one.isascii() and (one.isalnum() or one in "_+=-") else "_" for one in text
    )
    return kept.lstrip("-+=")[:40] or "kernel"


def _without(path: str, error: ValueError) -> str:
    """Return the error message without the name of the temporary file."""
    return str(error).replace(path, "").replace("kernel file '': ", "")
