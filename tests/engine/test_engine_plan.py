"""What the planner chooses, says, and does not import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from featcli.engine import factors, plan

GAUSSIAN = np.outer([1, 2, 1], [1, 2, 1]) / 16
LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def chosen(kernel, dtype="u1", shape=(3000, 4000, 3)):
    return plan(shape, dtype, [kernel]).choices[0].chosen.name


def test_whole_number_kernels_on_bytes_are_computed_in_int16():
    for kernel in (LAPLACIAN, GAUSSIAN, np.array([[-1, 0, 1]] * 3), np.ones((3, 3)) / 9):
        assert chosen(kernel).endswith("int16")


def test_large_dense_kernels_go_through_fourier_transforms_and_small_ones_do_not():
    rng = np.random.default_rng(0)
    assert chosen(rng.normal(size=(41, 41)), "f4").startswith("fourier")
    assert not chosen(rng.normal(size=(3, 3)), "f4").startswith("fourier")


def test_a_large_separable_kernel_is_factored():
    line = np.exp(-(np.arange(-20, 21) ** 2) / 50.0)
    assert chosen(np.outer(line, line), "f4").startswith("separable")


def test_a_plan_says_how_each_kernel_is_computed():
    made = plan((30, 40, 3), "u1", [LAPLACIAN, np.ones((5, 5)) * 1e90])
    text = made.describe()
    assert "30x40x3 uint8" in text
    assert "kernel 0, 3x3: taps/int16: 5 taps" in text
    assert "kernel 1, 5x5: scipy.ndimage" in text


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_scipy_is_not_imported_for_small_kernels(dtype):
    code = f"""
import sys, numpy as np
from featcli.engine import correlate
x = np.ones((50, 60, 3), "{dtype}")
for border in ("reflect", "nearest", "mirror", "constant", "wrap"):
    for kernel in (np.ones((3, 3)), [[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.random.rand(3, 3)):
        correlate(x, [np.array(kernel)], border=border)
assert "scipy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_factors_of_whole_numbers_are_whole_and_exact():
    kernel = np.outer([2, -4, 6], [3, 0, 9, -6]).astype(float)
    column, row = factors.column_times_row(kernel)
    assert np.array_equal(np.outer(column, row), kernel)
    assert factors.is_integer(column)
    assert factors.is_integer(row)


@pytest.mark.parametrize("kernel", [[[-1, 0, 1]] * 3, [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]])
def test_factors_are_signed_so_that_no_tap_needs_a_multiplication(kernel):
    column, row = factors.column_times_row(np.array(kernel, float))
    assert max(column) == max(row) == 1


def test_a_kernel_that_is_nearly_a_product_is_not_factored():
    kernel = np.outer([1.0, 2, 1], [1.0, 2, 1])
    kernel[0, 0] += 1e-5
    assert factors.column_times_row(kernel) is None


def test_a_mean_is_whole_numbers_times_one_factor():
    whole, factor = factors.whole_numbers(np.full((3, 3), 1 / 9))
    assert np.array_equal(whole, np.ones((3, 3)))
    assert factor == 1 / 9
    assert factors.whole_numbers(np.array([[1.0, np.pi]])) is None


def test_a_sum_of_two_products_is_found():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 9))
    terms = factors.sum_of_products(kernel)
    assert len(terms) == 2
    assert np.allclose(sum(np.outer(*term) for term in terms), kernel)
