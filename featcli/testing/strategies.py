"""Hypothesis strategies for arrays and parameters of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli import stage as stages
from featcli.frame import Array, Step
from featcli.stage import Param, Stage

_NAMES = "bool uint8 int8 uint16 int16 uint32 int32 int64 float16 float32 float64"
TYPES: list[np.dtype[Any]] = [np.dtype(name) for name in _NAMES.split()]
KERNELS = ["vertical", "roberts-x", "gaussian:sigma=0.5", "0.5 -1; 2 0; 0 1"]
CHANNELS, SIDE = st.integers(1, 4), st.integers(1, 9)

Arrays = st.SearchStrategy[Array]
Written = Mapping[str, Sequence[str]]


def elements(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    """Draw finite numbers without extreme values."""
    if dtype.kind == "f":
        return st.floats(-1000, 1000, width=16, allow_subnormal=False)
    if dtype.kind == "b":
        return st.booleans()
    info = np.iinfo(dtype)
    return st.integers(max(int(info.min), -40000), min(int(info.max), 40000))


def maps(
    channels: st.SearchStrategy[int] = CHANNELS,
    side: st.SearchStrategy[int] = SIDE,
    types: Sequence[np.dtype[Any]] = tuple(TYPES),
) -> Arrays:
    """Draw small maps of any type."""
    return st.tuples(st.sampled_from(types), side, side, channels).flatmap(
        lambda drawn: hnp.arrays(drawn[0], drawn[1:], elements=elements(drawn[0]))
    )


def vectors(length: int = 12, types: Sequence[np.dtype[Any]] = tuple(TYPES)) -> Arrays:
    """Draw vectors of any type."""
    return st.sampled_from(types).flatmap(
        lambda dtype: hnp.arrays(dtype, length, elements=elements(dtype))
    )


def arrays(stage: Stage) -> Arrays:
    """Draw arrays that a stage accepts."""
    if stage.takes == "vector":
        return vectors()
    channels = st.sampled_from([1, 3]) if stage.name in ("gray", "rgb") else CHANNELS
    return maps(channels) if stage.takes == "maps" else st.one_of(maps(channels), vectors())


def texts(param: Param, weights: Path, written: Written) -> st.SearchStrategy[str]:
    """Draw valid texts for a parameter, by its metavar."""
    kind = param.converter.metavar
    if param.choices or kind in written:
        return st.sampled_from(param.choices or written[kind])
    known: dict[str, st.SearchStrategy[str]] = {
        "N": st.integers(1, 3).map(str),
        "KERNEL": st.sampled_from(KERNELS),
        "N|RxC": st.one_of(st.integers(1, 5).map(str), st.just("3x4"), st.just("1x2")),
        "ROW,COL": st.sampled_from(["0,0", "1,0", "0,2"]),
        "X[,X...]": st.floats(0.5, 300).map(lambda value: f"{value:.3g}"),
        "FILE": st.just(str(weights)),
        "X": st.floats(-300, 300).map(lambda value: f"{value:.3g}"),
        "TEXT": st.just("text"),
    }
    return known[kind]


@st.composite
def steps(draw: st.DrawFn, name: str, weights: Path, written: Written | None = None) -> Step:
    """Draw a step of a stage, with parameters by its declaration."""
    from featcli.pipeline import make_step

    given: dict[str, Any] = {}
    for param in stages.get(name).params:
        if param.name == "bias" or not (param.required or draw(st.booleans())):
            continue
        text = texts(param, weights, written or {})
        if param.flag:
            given[param.name] = True
        elif param.converter.many:
            listed = draw(st.lists(text, min_size=1, max_size=2))
            given[param.name] = tuple(param.parse(one) for one in listed)
        else:
            given[param.name] = param.parse(draw(text))
    return make_step(stages.get(name), given)
