"""Strips of rows give what the whole gives, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from strategies import ALL, arrays, steps

from featcli import stage as stages
from featcli.budget import MemoryExceeded
from featcli.errors import StageError
from featcli.frame import Frame, LargeFrame
from featcli.large import in_strips
from featcli.pipeline import Pipeline, apply

IN_ROWS = [name for name in ALL if stages.get(name).rows]
few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
PIPELINES = [
    "convolve vertical | relu | pool 2",
    "convolve gaussian:sigma=2 --stride 3 | pool 3 --stride 2 --ceil",
    "crop 21x11 | convolve box:4 box:3 --border mirror --flip",
    "convolve sobel-x --padding valid --dilation 3 | abs | pool 5 --stride 1 --kind mean",
    "convolve box:9 --border constant --stride 7 | normalize 3 2 | tanh",
    "convolve box:10 --border nearest | gray | sigmoid",
    "pool 2 --stride 5 | convolve kirsch-n --dilation 4 | relu6",
    "convolve vertical --stride 40",
    "convolve vertical --engine scipy | softmax",
    "gray | rgb | convolve laplacian8 --border mirror",
]


def large(x: np.ndarray) -> LargeFrame:
    maps = x[:, :, None] if x.ndim == 2 else x
    return LargeFrame(lambda begin, end: maps[begin:end], maps.shape, maps.dtype)


def computed(frame: LargeFrame, height: int) -> np.ndarray:
    rows = len(frame.data)
    tops = range(0, rows, height)
    return np.concatenate([frame.rows(top, min(top + height, rows)) for top in tops])


def assert_equal(text, x, heights=(1, 2, 3, 5, 8, 10_000)):
    whole = Pipeline(text)(x)
    found = in_strips(Pipeline(text).steps, large(x), 10**9)
    assert found.data.shape == whole.data.shape
    assert (found.labels, found.history) == (whole.labels, whole.history)
    for height in heights:
        got = computed(found, height)
        assert (got.dtype, got.tobytes()) == (whole.data.dtype, whole.data.tobytes()), height


def test_most_stages_can_be_computed_in_strips():
    assert {"convolve", "pool", "relu", "gray", "crop", "normalize"} <= set(IN_ROWS)


@pytest.mark.parametrize("border", ["reflect", "mirror", "nearest", "constant"])
@pytest.mark.parametrize("kernel", ["1 0; 0 -1", "1 2; 3 4; 5 6; 7 8", "1; 2; 4; 8; 16; 32"])
@pytest.mark.parametrize("rows", [6, 7, 9])
def test_borders_below_a_strip_are_those_of_the_whole_picture(border, kernel, rows):
    """Rotated kernels of even height reach further down than up."""
    x = np.random.default_rng(0).integers(0, 255, (rows, 4, 1), np.uint8)
    for text in (f"--border {border} --flip", f"--border {border} --stride 2 --flip"):
        pipeline = Pipeline(f"convolve '{kernel}' {text}")
        whole = pipeline(Frame(x)).data
        for height in range(1, 4):
            found = computed(in_strips(pipeline.steps, large(x), 10**9), height)
            np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", IN_ROWS)
@few
@given(data=st.data())
def test_strips_of_any_height_equal_the_whole(name, data):
    x = data.draw(arrays(stages.get(name)).filter(lambda array: array.ndim > 1))
    step = data.draw(steps(name, None))
    try:
        whole = apply(step, Frame(x))[0].data
        found = in_strips([step], large(x), 10**9)
    except StageError:
        reject()
    got = computed(found, data.draw(st.integers(1, 9), "height"))
    assert (got.shape, got.dtype, got.tobytes()) == (whole.shape, whole.dtype, whole.tobytes())


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64"])
@pytest.mark.parametrize("text", PIPELINES)
def test_pipelines_in_strips_equal_the_whole(text, dtype):
    random = np.random.default_rng(1)
    assert_equal(text, random.integers(0, 120, (57, 23, 3)).astype(dtype))


@pytest.mark.parametrize("text", PIPELINES)
def test_what_is_not_finite_spreads_no_further_in_strips(text):
    x = np.random.default_rng(2).normal(size=(61, 19, 3)).astype(np.float32)
    x[7, 3], x[30, 4], x[31, 11], x[60, 2] = np.nan, np.inf, -np.inf, np.nan
    assert_equal(text, x)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize("border", ["reflect", "nearest", "mirror", "constant"])
def test_a_picture_lower_than_its_kernel_is_one_strip(rows, border):
    x = np.random.default_rng(3).integers(0, 255, (rows, 9, 1), np.uint8)
    for kernel in ("box:5", "box:12", "gaussian:sigma=3"):
        assert_equal(f"convolve {kernel} --border {border}", x, (1, 2, 10))


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "resize 4": "needs the whole picture",
        "flatten": "needs the whole picture",
        "phash": "needs the whole picture",
        "pool --global": "--global needs the whole picture",
        "split-channels": "gives several results",
        "convolve vertical --border wrap": "joins the first rows to the last",
        "convolve gabor:theta=30,sigma=12": "--engine scipy can do so",
        "crop 2000": "cannot cut 2000x2000 out of a picture of 1000x900",
        "pool 1001": "does not fit",
    }.items(),
)
def test_what_cannot_be_computed_in_strips_says_why(text, reason):
    frame = LargeFrame(lambda *_: pytest.fail("read"), (1000, 900, 3), np.dtype(np.uint8))
    with pytest.raises(StageError, match=reason) as caught:
        in_strips(Pipeline(text).steps, frame, 10**9)
    assert "\n" not in str(caught.value)


def test_a_stage_that_does_not_take_the_channels_says_so_when_it_is_computed():
    found = in_strips(Pipeline("gray").steps, large(np.zeros((4, 4, 2), np.uint8)), 10**9)
    with pytest.raises(StageError, match="takes 3 channels"):
        found.rows(0, 1)


def test_strips_are_as_high_as_the_memory_allows():
    frame = LargeFrame(lambda *_: None, (10**6, 10**5, 1), np.dtype(np.uint8))
    steps = Pipeline("convolve vertical | relu | pool 2").steps
    heights = [in_strips(steps, frame, limit).height for limit in (110 * 10**6, 130 * 10**6)]
    assert 1 <= heights[0] < heights[1] < 100
    with pytest.raises(MemoryExceeded, match="more than --max-memory 92 MB"):
        in_strips(steps, frame, 92 * 10**6)
