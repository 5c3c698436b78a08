"""The laws that hold for every stage, and a comparison with a slow, obvious median."""

from types import MappingProxyType

import numpy as np
from featcli_median import median

from featcli import kernels
from featcli.pipeline import Pipeline
from featcli.testing import StageLaws


class TestMedian(StageLaws):
    names = ("median",)
    written = MappingProxyType({"N": ("1", "5")})  # sizes to try: only odd ones


def test_a_value_is_the_median_of_its_neighbourhood():
    x = np.random.default_rng(0).normal(size=(7, 6, 2)).astype(np.float32)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    for row, col, channel in np.ndindex(x.shape):
        patch = padded[row : row + 3, col : col + 3, channel]
        assert median(x, 3)[row, col, channel] == np.median(patch)


def test_a_pipeline_takes_the_stage_and_the_kernel():
    x = np.random.default_rng(0).normal(size=(7, 6, 1)).astype(np.float32)
    assert Pipeline("median 3 | convolve knight")(x).data.shape == x.shape
    assert kernels.parse("knight").values.sum() == 1
