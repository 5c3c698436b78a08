"""Each stage against something obvious."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from reference import flatten, pool, sigmoid, softmax
from strategies import TYPES, maps

import featcli

law = settings(max_examples=150, deadline=None)
floats = hnp.arrays(
    np.float64, st.integers(1, 12), elements=st.floats(-1e4, 1e4, allow_subnormal=False)
)


@law
@given(
    x=maps(),
    size=st.integers(1, 5),
    stride=st.none() | st.integers(1, 5),
    kind=st.sampled_from(["max", "mean", "min"]),
    ceil=st.booleans(),
)
def test_pool_equals_a_loop_over_windows(x, size, stride, kind, ceil):
    if not ceil and size > min(x.shape[:2]):
        with pytest.raises(ValueError, match="does not fit into"):
            featcli.pool(x, size, kind=kind, stride=stride)
        return
    result = featcli.pool(x, size, kind=kind, stride=stride, ceil=ceil)
    planes = [pool(x[:, :, k], size, stride or size, kind, ceil) for k in range(x.shape[2])]
    expected = np.stack(planes, axis=2)
    if kind == "mean":
        np.testing.assert_allclose(result, expected.astype(np.float32), rtol=2e-3, atol=1e-3)
    else:
        np.testing.assert_array_equal(result, expected)


@law
@given(maps(types=tuple(t for t in TYPES if t.itemsize > 2)))
def test_global_mean_is_the_mean_of_each_channel(x):
    result = featcli.pool(x, kind="mean", global_=True)
    np.testing.assert_allclose(
        result[0, 0], x.astype(np.float64).mean(axis=(0, 1)), rtol=1e-6, atol=1e-3
    )


def test_pooling_2x2_halves_rows_and_columns_and_drops_the_odd_ones():
    assert featcli.pool(np.ones((6, 8, 3))).shape == (3, 4, 3)
    assert featcli.pool(np.ones((7, 9, 3))).shape == (3, 4, 3)
    assert featcli.pool(np.ones((7, 9, 3)), ceil=True).shape == (4, 5, 3)


def test_nan_is_kept_by_max_pooling():
    x = np.array([[np.nan, 1.0], [2.0, 3.0]])
    assert np.isnan(featcli.pool(x)).all()


@law
@given(maps(), st.sampled_from(["chw", "hwc"]))
def test_flatten_lists_every_value_in_the_stated_order(x, order):
    np.testing.assert_array_equal(featcli.flatten(x, order=order), flatten(x, order))


@law
@given(maps())
def test_relu6_keeps_what_lies_between_zero_and_six(x):
    low, high = x.dtype.type(0), x.dtype.type(6)
    np.testing.assert_array_equal(
        featcli.relu6(x), np.where(x > high, high, np.where(x > low, x, low))
    )


@law
@given(maps())
def test_relu_keeps_what_is_positive(x):
    np.testing.assert_array_equal(featcli.relu(x), np.where(x > 0, x, x.dtype.type(0)))


@law
@given(floats)
def test_sigmoid_and_tanh_are_the_functions_of_the_textbook(x):
    np.testing.assert_allclose(featcli.sigmoid(x), [sigmoid(v) for v in x], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(featcli.tanh(x), 2 * featcli.sigmoid(2 * x) - 1, atol=1e-14)


@law
@given(floats)
def test_softmax_gives_shares_that_sum_to_one(x):
    result = featcli.softmax(x)
    np.testing.assert_allclose(result, softmax(x.tolist()), rtol=1e-9, atol=1e-300)
    assert abs(result.sum() - 1) < 1e-12


def test_softmax_of_maps_is_taken_over_the_channels():
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    np.testing.assert_allclose(featcli.softmax(x).sum(axis=2), 1)


def test_softmax_and_sigmoid_do_not_overflow():
    x = np.array([-1e30, 0, 1e30], np.float32)
    np.testing.assert_array_equal(featcli.softmax(x), [0, 0, 1])
    np.testing.assert_array_equal(featcli.sigmoid(x), [0, 0.5, 1])


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_abs_holds_the_magnitude_of_the_lowest_integer(bits):
    lowest = np.array([-(2 ** (bits - 1))], f"int{bits}")
    result = featcli.abs(lowest)
    assert result.dtype == f"uint{bits}" and int(result[0]) == 2 ** (bits - 1)


@law
@given(maps(st.just(3), types=(np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float64))))
def test_gray_is_the_weighted_sum_of_the_channels(x):
    expected = x @ np.array([0.299, 0.587, 0.114])
    if x.dtype.kind == "u":
        assert np.abs(featcli.gray(x)[:, :, 0] - expected).max() <= 0.5 + 1e-9
    else:
        np.testing.assert_allclose(featcli.gray(x)[:, :, 0], expected, atol=1e-9)


def test_gray_agrees_with_pillow_within_its_rounding(samples):
    image = Image.open(samples / "cat.jpg")
    ours = featcli.gray(np.asarray(image))[:, :, 0].astype(int)
    assert np.abs(ours - np.asarray(image.convert("L"))).max() <= 1


@pytest.mark.parametrize("value", [0, 1, 77, 255])
@pytest.mark.parametrize("weights", ["rec601", "rec709", "mean"])
def test_gray_of_gray_stays_what_it_is(value, weights):
    x = np.full((2, 2, 3), value, np.uint8)
    np.testing.assert_array_equal(featcli.gray(x, weights=weights), x[:, :, :1])


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1), (2, 5, 3)])
def test_rgb_makes_three_channels_of_one_and_keeps_three(shape):
    x = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    three = x if x.shape[-1] == 3 and x.ndim == 3 else np.dstack([x, x, x])
    np.testing.assert_array_equal(featcli.rgb(x), three)
    assert featcli.rgb(x).dtype == x.dtype
    gray = featcli.gray(featcli.rgb(x), weights="mean")
    np.testing.assert_array_equal(gray, featcli.gray(x, weights="mean").reshape(2, 5, 1))


@pytest.mark.parametrize("channels", [2, 4])
def test_rgb_refuses_other_numbers_of_channels(channels):
    with pytest.raises(ValueError, match=f"takes 1 channel or 3 .* not {channels}"):
        featcli.rgb(np.ones((2, 2, channels)))


def test_gray_refuses_four_channels():
    with pytest.raises(ValueError, match="3 channels"):
        featcli.gray(np.ones((2, 2, 4)))


@pytest.mark.parametrize("filter", ["bicubic", "bilinear", "nearest", "box", "hamming", "lanczos"])
@pytest.mark.parametrize("size", [(7, 11), (90, 33), 20])
def test_resize_is_pillows_own(filter, size, samples):
    image = Image.open(samples / "cat.jpg").resize((60, 40))
    result = featcli.resize(np.asarray(image), size, filter=filter)
    rows, cols = size if isinstance(size, tuple) else (20, 30)
    expected = np.asarray(image.resize((cols, rows), Image.Resampling[filter.upper()]))
    np.testing.assert_array_equal(result, expected)


def test_resize_keeps_sixteen_bits():
    x = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    result = featcli.resize(x, 32, filter="box")
    assert result.dtype == np.uint16
    expected = x.astype(float).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(result - expected).max() <= 0.51


def test_resize_of_16_bits_stays_in_range_where_bicubic_overshoots():
    x = np.zeros((8, 8), np.uint16)
    x[:, 4:] = 65535
    assert set(np.unique(featcli.resize(x, 32))) >= {0, 65535}


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((300, 451), 256, (256, 384)), ((451, 300), 256, (384, 256)), ((5, 500), 1, (1, 100))],
)
def test_a_single_size_is_the_short_side(shape, size, expected):
    assert featcli.resize(np.zeros(shape, np.uint8), size).shape == expected


def test_crop_cuts_out_the_centre():
    x = np.arange(6 * 7).reshape(6, 7)
    np.testing.assert_array_equal(featcli.crop(x, 2), x[2:4, 2:4])
    np.testing.assert_array_equal(featcli.crop(x, (6, 3)), x[:, 2:5])
    with pytest.raises(ValueError, match="cannot cut 8x8 out of a picture of 6x7"):
        featcli.crop(x, 8)


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", (1, 2, 3), (0, 4), None])
def test_a_size_that_is_none_is_refused(size):
    for function in (featcli.crop, featcli.resize):
        with pytest.raises(ValueError, match=r"must be|rows|cols"):
            function(np.ones((9, 9), np.uint8), size)


@law
@given(maps(st.just(3)), st.tuples(*[st.floats(-100, 100)] * 3), st.floats(0.5, 100))
def test_normalize_shifts_and_scales_each_channel(x, mean, std):
    expected = (x.astype(np.float64) - mean) / std
    np.testing.assert_allclose(
        featcli.normalize(x, mean, std), expected.astype(np.float32), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (0, 0, "zero"),
        ((1, 2), 1, "2 values for 3 channels"),
        (np.nan, 1, "finite"),
        (0, np.inf, "finite"),
    ],
)
def test_normalize_refuses_what_makes_no_sense(mean, std, message):
    with pytest.raises(ValueError, match=message):
        featcli.normalize(np.ones((2, 2, 3)), mean, std)


def test_split_channels_gives_each_channel_alone():
    x = np.arange(24).reshape(2, 4, 3)
    parts = featcli.split_channels(x)
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), x)


@law
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_dense_is_a_product_of_vector_and_matrix_plus_the_bias(n, m, seed):
    rng = np.random.default_rng(seed)
    x, weight, bias = rng.normal(size=n), rng.normal(size=(n, m)), rng.normal(size=m)
    expected = [sum(x[i] * weight[i, j] for i in range(n)) + bias[j] for j in range(m)]
    np.testing.assert_allclose(featcli.dense(x, weight, bias), expected, rtol=1e-5, atol=1e-6)


def test_dense_reads_its_weights_from_files_and_notices_when_they_change(tmp_path, monkeypatch):
    from featcli.pipeline import Pipeline

    monkeypatch.chdir(tmp_path)
    weight, bias = np.eye(3, dtype=np.float32), np.array([1, 2, 3], np.float32)
    np.savez("w.npz", weight=weight, bias=bias)
    np.save("w.npy", weight)
    np.save("b.npy", bias)
    x = np.array([10, 20, 30], np.float32)
    for text in ("dense w.npz", "dense w.npy b.npy", "dense w.npy --bias b.npy"):
        np.testing.assert_array_equal(Pipeline(text)(x).data, [11, 22, 33])
    recipe = Pipeline("dense w.npz")
    np.savez("w.npz", weight=2 * weight, bias=bias)
    with pytest.raises(featcli.FeatError, match="has changed"):
        Pipeline(str(recipe))


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (np.ones((4, 2)), None, r"needs a weight of shape \(3, m\)"),
        (np.ones(3), None, "needs a weight"),
        (np.ones((3, 2)), np.ones(3), r"the bias must have shape \(2,\)"),
    ],
)
def test_dense_says_which_shapes_would_fit(weight, bias, message):
    with pytest.raises(ValueError, match=message):
        featcli.dense(np.ones(3), weight, bias)


def test_sigmoid_keeps_small_values():
    for dtype, rtol in ((np.float32, 1e-6), (np.float64, 1e-14)):
        x = np.array([-40, -20, -17, -10, 0, 10, 40], dtype)
        np.testing.assert_allclose(featcli.sigmoid(x), [sigmoid(float(v)) for v in x], rtol=rtol)


def test_softmax_of_many_halves_still_sums_to_one():
    shares = featcli.softmax(np.zeros(70000, np.float16))
    assert shares.dtype == np.float16 and (shares > 0).all()
    assert abs(shares.astype(np.float64).sum() - 1) < 0.01


def test_dense_does_not_overflow_in_half_precision():
    x = np.array([1e4, 1e4], np.float16)
    assert featcli.dense(x, np.full((2, 1), 10.0)) == 200000
    assert featcli.dense(np.ones(1, np.float16), np.array([[1e5]], np.float32)) == 100000


def test_resize_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match="beyond the range of float32"):
        featcli.resize(np.full((4, 4), 1e300), 2)
    with pytest.raises(ValueError, match="too large: Pillow can resize to"):
        featcli.resize(np.ones((4, 4), np.uint8), 3_000_000_000)


def test_a_stage_says_what_to_do_with_a_frame_or_the_name_of_a_file():
    frame = featcli.Frame(np.zeros((2, 2)))
    with pytest.raises(TypeError, match=r"give its \.data"):
        featcli.relu(frame)
    with pytest.raises(TypeError, match=r"featcli.read\('photo.jpg'\)"):
        featcli.convolve("photo.jpg", "vertical")
    with pytest.raises(TypeError, match=r"featcli.read\('photo.jpg'\)"):
        featcli.Pipeline("relu")("photo.jpg")
    with pytest.raises(TypeError, match="takes the path first"):
        featcli.write(frame, "photo.npy")


@pytest.mark.parametrize("numbers", [(127, 128), (0, 1e-300), ((1, 2, 3.5), (4, -5, 6.25))])
def test_bytes_are_normalized_to_what_their_levels_become(numbers):
    x = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    with np.errstate(over="ignore"):
        wanted = ((x - np.array(numbers[0])) / np.array(numbers[1], np.float64)).astype(np.float32)
    np.testing.assert_array_equal(featcli.normalize(x, *numbers), wanted)
    np.testing.assert_array_equal(featcli.normalize(x[:3, :3], *numbers), wanted[:3, :3])
    flat = featcli.normalize(x[:, :, 0].ravel(), 127, 128)
    np.testing.assert_array_equal(flat, (x[:, :, 0].ravel() - 127.0) / 128)
