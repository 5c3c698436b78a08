"""The numbers of results for the command, whether they are computed or exist already."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from featcli import budget, npy
from featcli.errors import FeatError
from featcli.frame import Array, Frame
from featcli.io.naming import Heading
from featcli.io.remote.url import is_url
from featcli.io.sinks import Prior, Sink, State, Written


def existing_results(
    sink: Sink, headings: Sequence[Heading], state: State, prior: Prior, is_told: bool
) -> list[Written] | None:
    """See `Sink.existing_results`; if `is_told`, the arrays are read, too."""
    found = sink.existing_results(headings, state, prior)
    if not found or not is_told:
        return found
    try:
        arrays = [numbers_at(one.path) for one in found]
    except (FeatError, OSError):
        return None  # only a picture exists, or the array is damaged: compute it again
    return _with_numbers(found, [heading.part for heading in headings], arrays)


def with_numbers(written: Sequence[Written], frames: Sequence[Frame]) -> list[Written]:
    """Add their numbers to results, even to those that are only written at the end."""
    blank = [Written("", "written") for _ in frames]
    parts, arrays = [one.part for one in frames], [one.data for one in frames]
    return _with_numbers(written or blank, parts, arrays)


def numbers_at(path: str) -> Array:
    """Read the array at a path or an address that was printed; raises FeatError, OSError."""
    if not is_url(path):
        return npy.load(path)
    from featcli.io.remote.loading import content, meta_of

    data = content(path, meta_of(path, -1, "", None), None, budget.default())
    return npy.read(io.BytesIO(data), len(data))


def _with_numbers(
    written: Iterable[Written], parts: Iterable[str], arrays: Iterable[Array]
) -> list[Written]:
    return [
        one._replace(data=data, about={**one.about, "part": part})
        for one, part, data in zip(written, parts, arrays, strict=True)
    ]
