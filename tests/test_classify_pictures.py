"""The picture of a result: the image beside its bars, whoever computed and whoever wrote it."""

from __future__ import annotations

import pytest
from PIL import Image

import featcli as api
from featcli.models.stages import Classification


@pytest.fixture
def photos(workspace):
    """A folder with three images of different kinds."""
    (workspace / "photos").mkdir()
    with Image.open("photo.jpg") as photo:
        photo.save("photos/a.jpg")
        photo.convert("L").save("photos/b.png")
        photo.convert("RGBA").save("photos/c.png")
    return workspace


def test_pictures_do_not_depend_on_who_computes(photos, inline):
    for jobs in ("1", "2"):
        done = inline("classify", "photos", "-o", f"out{jobs}/", "-j", jobs)
        assert done.returncode == 0, done.stderr
    drawn = sorted((photos / "out1").glob("*.png"))
    assert len(drawn) == 3
    for one in drawn:
        assert one.read_bytes() == (photos / "out2" / one.name).read_bytes()


def test_a_time_limit_changes_no_picture(photos, inline):
    for name, more in (("plain.png", ()), ("limited.png", ("--timeout", "60"))):
        done = inline("classify", "photo.jpg", "-o", name, *more)
        assert done.returncode == 0, done.stderr
    assert (photos / "plain.png").read_bytes() == (photos / "limited.png").read_bytes()


def test_an_image_is_kept_until_it_has_been_drawn_and_no_longer(photos):
    pipeline = Classification("digits", keep=True, given={})
    frame = api.read("photo.jpg")
    (result,) = pipeline.run(frame)
    assert pipeline.image_of(result).shape[2] == frame.data.shape[2]
    assert pipeline.image_of(result) is None
    other = Classification("digits", keep=True, given={})
    pipeline.run(frame)
    other.take_over(pipeline.hand_over())
    assert pipeline.image_of(result) is None
    assert len(other.image_of(result)) == 224
