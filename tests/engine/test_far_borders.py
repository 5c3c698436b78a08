"""Kernels much longer than the picture: borders that repeat it several times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

import featcli


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("times", [1, 8, 9, 11])
def test_a_picture_much_shorter_than_the_kernel_is_reflected_as_often_as_it_takes(length, times):
    random = np.random.default_rng(length * times)
    taps = length * times + random.integers(1, 4)
    kernel = random.integers(-3, 4, taps).astype(float)
    column = random.integers(0, 256, length).astype(np.uint8)
    low = taps // 2
    padded = np.pad(column.astype(float), (low, taps - 1 - low), mode="symmetric")
    expected = np.correlate(padded, kernel, mode="valid")
    np.testing.assert_array_equal(
        correlate1d(column.astype(float), kernel, mode="reflect"), expected
    )
    found = featcli.convolve(column[:, None], kernel[:, None])
    np.testing.assert_array_equal(found.ravel(), expected)
