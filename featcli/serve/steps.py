"""Parsing the steps of a request by the grammar of pipelines, without opening any file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from featcli import stage as stages
from featcli._index import STAGES
from featcli.errors import UsageError, nearest
from featcli.frame import Step
from featcli.pipeline import parse, parse_step, words
from featcli.stage import Stage

MOST_STEPS = 50
_LONGEST = 200_000  # characters of all steps; enough for a kernel of 100 x 100 numbers


@cache
def known(name: str) -> Stage:
    """Return a stage that takes no files; raises ValueError for an unknown name or a model."""
    if name in stages.OF_MODELS:
        raise ValueError(f"{name} takes a model: choose one on this page, under the picture")
    if name not in STAGES:
        raise ValueError(f"no stage {name!r}{nearest(name, STAGES)}")
    return stages.get(name).without_files()


def steps_of(given: Any) -> tuple[Step, ...]:
    """Parse the steps of a request.

    Parameters
    ----------
    given : list of list of str
        The words of each step: `[["convolve", "--kernel", "vertical"], ["relu"]]`.

    Raises
    ------
    UsageError
        A step is wrong (the message is that of the command), or `given` is not such a list.
    """
    if not isinstance(given, list) or len(given) > MOST_STEPS or not all(map(_are_words, given)):
        raise UsageError(f"steps must be a list of at most {MOST_STEPS} lists of words")
    if sum(len(word) for step in given for word in step) > _LONGEST:
        raise UsageError(f"the steps have more than {_LONGEST} characters")
    return tuple(parse_step(number, step, known) for number, step in enumerate(given, 1))


def _are_words(step: Any) -> bool:
    return isinstance(step, list) and all(isinstance(word, str) for word in step)


def from_text(text: str) -> list[list[str]]:
    """Parse the text of a pipeline into the words of its steps."""
    if len(text) > _LONGEST:
        raise UsageError(f"the pipeline has more than {_LONGEST} characters")
    return [words(step, known) for step in parse(text, known)]


def words_of(steps: Sequence[Step]) -> list[list[str]]:
    """Return steps as words; equal steps give equal words."""
    return [words(step, known) for step in steps]
