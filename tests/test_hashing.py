"""dhash and phash: by their definition, slowly, and near for pictures that are nearly the same."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

import featcli


def recompressed(path, quality=40, scale=0.6):
    picture = Image.open(path).convert("RGB")
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_dhash_says_where_the_brightness_rises():
    ramp = np.tile(np.arange(90, dtype=np.uint8), (80, 1))
    assert featcli.dhash(ramp).tolist() == [1] * 64
    assert featcli.dhash(ramp[:, ::-1]).tolist() == [0] * 64
    assert featcli.dhash(ramp, size=4).shape == (16,)


def test_dhash_compares_means_of_blocks():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (80, 90)).astype(np.uint8)
    means = picture.reshape(8, 10, 9, 10).mean(axis=(1, 3))
    wanted = [int(a < b) for row in means for a, b in itertools.pairwise(row)]
    assert featcli.dhash(picture).tolist() == wanted


def test_phash_keeps_the_low_frequencies_that_are_above_their_median():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (64, 64)).astype(np.uint8)
    small = picture.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    flat = dctn(small)[:8, :8].ravel()
    assert featcli.phash(picture).tolist() == (flat > np.median(flat[1:])).astype(int).tolist()


@pytest.mark.parametrize("name", ["dhash", "phash"])
def test_a_copy_is_near_and_another_picture_is_far(name, samples):
    hashed = getattr(featcli, name)
    cat, coffee = (featcli.read(samples / f"{one}.jpg").data for one in ("cat", "coffee"))
    copy = recompressed(samples / "cat.jpg")
    assert (hashed(cat) != hashed(copy)).sum() <= 4
    assert (hashed(cat) != hashed(coffee)).sum() >= 15


def test_five_channels_are_refused():
    with pytest.raises(ValueError, match="takes 3 channels"):
        featcli.dhash(np.zeros((9, 9, 5)))
