"""Arrays and parameters for laws over all stages."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli import stage as stages
from featcli._index import STAGES

_NAMES = "bool uint8 int8 uint16 int16 uint32 int32 int64 float16 float32 float64"
TYPES = [np.dtype(name) for name in _NAMES.split()]
KERNELS = ["vertical", "roberts-x", "gaussian:sigma=0.5", "0.5 -1; 2 0; 0 1"]
ALL = sorted(STAGES)


def elements(dtype):
    """Finite numbers that are no extremes."""
    if dtype.kind == "f":
        return st.floats(-1000, 1000, width=16, allow_subnormal=False)
    if dtype.kind == "b":
        return st.booleans()
    info = np.iinfo(dtype)
    return st.integers(max(int(info.min), -40000), min(int(info.max), 40000))


CHANNELS, SIDE = st.integers(1, 4), st.integers(1, 9)


def maps(channels=CHANNELS, side=SIDE, types=tuple(TYPES)):
    """Small maps of any type."""
    return st.tuples(st.sampled_from(types), side, side, channels).flatmap(
        lambda drawn: hnp.arrays(drawn[0], drawn[1:], elements=elements(drawn[0]))
    )


def vectors(length=12, types=tuple(TYPES)):
    """Vectors of any type."""
    return st.sampled_from(types).flatmap(
        lambda dtype: hnp.arrays(dtype, length, elements=elements(dtype))
    )


def arrays(stage):
    """What a stage takes."""
    if stage.takes == "vector":
        return vectors()
    channels = st.sampled_from([1, 3]) if stage.name in ("gray", "rgb") else st.integers(1, 4)
    return maps(channels) if stage.takes == "maps" else st.one_of(maps(channels), vectors())


def texts(param, weights):
    """How a parameter may be written, by the kind of text that it declares."""
    if param.choices:
        return st.sampled_from(param.choices)
    written = {
        "N": st.integers(1, 3).map(str),
        "KERNEL": st.sampled_from(KERNELS),
        "N|RxC": st.one_of(st.integers(1, 5).map(str), st.just("3x4"), st.just("1x2")),
        "ROW,COL": st.sampled_from(["0,0", "1,0", "0,2"]),
        "X[,X...]": st.floats(0.5, 300).map(lambda value: f"{value:.3g}"),
        "FILE": st.just(str(weights)),
        "X": st.floats(-300, 300).map(lambda value: f"{value:.3g}"),
        "TEXT": st.just("text"),
    }
    return written[param.converter.metavar]


@st.composite
def steps(draw, name, weights):
    """A step of a stage with parameters drawn from its declaration."""
    from featcli.pipeline import make_step

    stage = stages.get(name)
    given = {}
    for param in stage.params:
        if param.name == "bias" or not (param.required or draw(st.booleans())):
            continue
        if param.flag:
            given[param.name] = True
        elif param.converter.many:
            listed = draw(st.lists(texts(param, weights), min_size=1, max_size=2))
            given[param.name] = tuple(param.parse(text) for text in listed)
        else:
            given[param.name] = param.parse(draw(texts(param, weights)))
    return make_step(stage, given)
