"""The values of a command's options as typed groups, one for each list of options in `options`."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self, TypeVar

from featcli.io.options import MAX_PIXELS
from featcli.io.outputs import OutputSpec

Group = TypeVar("Group", bound=tuple[Any, ...])


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


class Writing(NamedTuple):
    """Where and how results are written: `options.outputs`."""

    output: str | None = None
    format: str | None = None
    shard_size: str | None = None
    overwrite: bool = False
    no_sidecar: bool = False
    view: str = "auto"
    cmap: str | None = None
    csv_safe: bool = False
    cells: str = "auto"
    label_from: Literal["folder"] | None = None


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
        output = OutputSpec.parse(*collect(Writing, given))
        printing, batch = collect(Printing, given), collect(Batch, given)
        if given:
            raise TypeError(f"options that belong to no group: {', '.join(given)}")
        return cls(sources, reading, output, printing, batch)


def collect(group: type[Group], given: dict[str, Any]) -> Group:
    """Move the options of a group out of Click's values; missing ones get their defaults."""
    return group(**{name: given.pop(name) for name in group.__annotations__ if name in given})
