"""The values of a command's options as typed groups, one for each list of options in `options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, TypeVar

from featcli import budget
from featcli.errors import UsageError
from featcli.io.options import MAX_PIXELS, ReadOptions
from featcli.io.outputs import OutputSpec
from featcli.pipeline import Pipeline

Group = TypeVar("Group")
_ANY_PHOTO = (384, 512)  # rows and columns; any usual size would do


class Sources(NamedTuple):
    """The inputs: `options.inputs`."""

    inputs: tuple[str, ...] = ()
    from_file: tuple[str, ...] = ()

    @property
    def is_stdin(self) -> bool:
        """Whether standard input is read, as an input or as a list of inputs."""
        return not (self.inputs or self.from_file) or "-" in (*self.inputs, *self.from_file)


class Reading(NamedTuple):
    """How inputs are read: `options.reading` and `options.decode`."""

    unit: bool = False
    background: str = "white"
    frames: Literal["first", "all"] = "first"
    layout: Literal["hwc", "chw"] = "hwc"
    max_pixels: int = MAX_PIXELS
    icc: Literal["ignore", "srgb"] = "ignore"
    strict: bool = False
    max_memory: int | None = None
    decode: Literal["exact", "fast"] = "exact"

    def options(self) -> ReadOptions:
        """Return the options as `io` takes them; raises UsageError for an unknown colour."""
        given = self._asdict()
        del given["decode"]
        if self.background not in ("white", "keep"):
            from featcli.io.colour import background_colour

            background_colour(self.background)
        return ReadOptions(**given | {"max_memory": self.max_memory or budget.default()})

    def options_for(self, pipeline: Pipeline) -> ReadOptions:
        """Return the options for reading the inputs of a pipeline.

        If the pipeline begins with a model, the range of the pixels is that of the model.
        """
        options, top = replace(self.options(), demand=pipeline.memory), pipeline.pixel_range
        if top and options.unit:
            raise UsageError("--unit: leave it out; the model has its own range of pixels")
        if top:
            options = replace(options, unit=top == 1, as_bytes=top == 255)
        if self.decode != "fast":
            return options
        if not pipeline.decode_size(*_ANY_PHOTO):
            raise UsageError(
                "--decode fast needs a first stage that shrinks the picture, such as resize 256, "
                "or a model whose preprocessing begins with one"
            )
        return replace(options, fast=pipeline.steps[0])


class Printing(NamedTuple):
    """What is printed."""

    null: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: int = 0
    paths: bool = True


class Batch(NamedTuple):
    """How many inputs are processed: `options.batch`."""

    jobs: int | None = None
    timeout: float | None = None
    fail_fast: bool = False
    retry_failed: bool = False
    checksum: bool = False
    dry_run: bool = False
    limit: int | None = None
    scheduler: str | None = None


class Settings(NamedTuple):
    """The options of all commands that run a pipeline over inputs."""

    sources: Sources
    reading: Reading
    output: OutputSpec
    printing: Printing
    batch: Batch

    @classmethod
    def take(cls, given: dict[str, Any]) -> Self:
        """Build the groups from Click's values; raises UsageError for an invalid output."""
        sources, reading = collect(Sources, given), collect(Reading, given)
        output = collect(OutputSpec.parse, given)
        printing, batch = collect(Printing, given), collect(Batch, given)
        if given:
            raise TypeError(f"options that belong to no group: {', '.join(given)}")
        return cls(sources, reading, output, printing, batch)


def collect(group: Callable[..., Group], given: dict[str, Any]) -> Group:
    """Move the options of a group out of Click's values; missing ones get their defaults."""
    names = inspect.signature(group).parameters
    return group(**{name: given.pop(name) for name in names if name in given})
