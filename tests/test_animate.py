"""`animate`: the window slides and the map grows, in seconds, on pictures of any size."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import assert_refused
from PIL import Image, ImageSequence

from featcli.frame import Frame
from featcli.models.tracing import trace_pipeline
from featcli.pipeline import Pipeline
from featcli.view import sliding
from featcli.view.animation import encoded
from featcli.view.sliding import COLS, ROWS, frames


def film(text: str, data: np.ndarray, seconds: float = 3, view: str = "auto"):
    return list(frames(trace_pipeline(Pipeline(text), Frame(data)), seconds, view))


def picture(rows: int, cols: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, cols, channels)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (6, 6, 1), (40, 3, 3), (300, 451, 3), (700, 900, 4)])
@pytest.mark.parametrize("text", ["convolve vertical | relu", "abs | flatten", "split-channels"])
def test_a_layer_takes_some_seconds_whatever_its_size(shape, text):
    found = film(text, picture(*shape))
    layers = len(trace_pipeline(Pipeline(text), Frame(picture(*shape))).layers) - 1
    assert {one.pixels.shape for one in found} == {(ROWS, COLS, 3)}
    total = sum(one.time for one in found) / 1000
    assert 0.3 * layers < total < 5 * layers
    assert len(found) <= 60 * layers


def test_of_a_small_map_every_cell_has_its_frame_and_of_a_large_one_some():
    assert len(film("convolve vertical", picture(6, 6))) == 36
    assert len(film("pool 2", picture(6, 6))) == 9
    assert len(film("convolve vertical", picture(600, 800))) == 48


def test_a_map_in_colour_is_not_called_by_one_of_its_channels():
    trace = trace_pipeline(Pipeline("convolve vertical"), Frame(picture(60, 60, 3), tuple("RGB")))
    labels = [sliding._panel(layer, 1, "auto", (0, 0)).label for layer in trace.layers]
    assert labels == ["in colour, numbers of G", "in colour, numbers of vertical.G"]
    single = trace_pipeline(Pipeline("gray"), Frame(picture(60, 60, 3), tuple("RGB"))).layers[1]
    assert sliding._panel(single, 0, "auto", (0, 0)).label == ""


def test_the_map_grows_from_nothing_to_all_of_it():
    found = film("pool 2", picture(64, 64))
    dark = [int((one.pixels == sliding.TRACK).all(axis=2).sum()) for one in found[-48:]]
    assert dark == sorted(dark, reverse=True)
    assert dark[0] > 50_000 and dark[-1] < 100


def test_the_frame_is_where_the_window_is():
    """Of 6x6 cells the first window lies at the top left, the last at the bottom right."""
    found = film("convolve vertical", picture(6, 6))
    sun = [(one.pixels[:, : COLS // 2] == sliding.SUN).all(axis=2) for one in (found[0], found[-1])]
    first, last = (np.argwhere(where) for where in sun)
    assert first[:, 0].max() < last[:, 0].min() and first[:, 1].max() < last[:, 1].min()


def test_what_is_seen_is_what_the_rule_says():
    trace = trace_pipeline(Pipeline("convolve vertical"), Frame(picture(6, 6)))
    before, after = trace.layers
    source = sliding._panel(before, 0, "auto", (0, 0))
    result = sliding._panel(after, 0, "auto", (0, 0))
    for stop in sliding._stops(after, 6, 6):
        rows, cols = sliding._seen(source, result, stop)
        kernel = after.rule.filters[0].weight[:, :, 0]
        value = (source.values(rows, cols).astype(float) * kernel).sum()
        assert value == after.data[stop.row, stop.col, 0]


@pytest.mark.parametrize("order", ["chw", "hwc"])
def test_flattened_values_come_from_the_cell_in_the_frame(order):
    data = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    trace = trace_pipeline(Pipeline(f"flatten --order {order}"), Frame(data))
    before, after = trace.layers
    source = sliding._panel(before, 0, "auto", (0, 0))
    result = sliding._panel(after, 0, "auto", (0, 0))
    for stop in sliding._stops(after, result.rows, result.cols):
        (row,), (col,) = sliding._seen(source, result, stop)
        assert after.data[stop.row] in data[row, col]


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_every_kind_is_animated_and_written_again_only_over_itself(suffix, workspace, inline):
    given = ("animate", "one.png", "--pipeline", "pool 2", "-o", f"slide{suffix}", "--seconds", "1")
    done = inline(*given)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"slide{suffix}\n", "")
    with Image.open(f"slide{suffix}") as image:
        times = []
        for one in ImageSequence.Iterator(image):
            one.load()  # until then a WebP does not say how long it is seen
            times.append(one.info["duration"])
        assert image.info["loop"] == 0
    assert len(times) == 9
    assert sum(times) == pytest.approx(1900, abs=200)
    first = (workspace / f"slide{suffix}").read_bytes()
    assert inline(*given).returncode == 0
    assert (workspace / f"slide{suffix}").read_bytes() == first
    (workspace / f"slide{suffix}").write_bytes(first[:-9])
    assert_refused(inline(*given), 2, f"slide{suffix} exists already")


def test_the_usual_name_and_standard_output(workspace, inline):
    assert inline("animate", "one.png", "--pipeline", "pool 2").stdout == "one.max2.webp\n"
    done = inline("animate", "one.png", "--pipeline", "pool 2", "-o", "-", binary=True)
    assert done.stdout == (workspace / "one.max2.webp").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("one.png", "--pipeline", "abs", "-o", "a.jpg"), 2, ["a.jpg", ".webp"]),
        (("one.png", "--pipeline", "nonsense"), 2, ["nonsense"]),
        (("one.png",), 2, ["--pipeline"]),
        (("one.png", "--pipeline", "abs", "--seconds", "0"), 2, ["--seconds"]),
        (("one.png", "--pipeline", "abs", "-o", "one.png"), 2, ["input"]),
        (("nothing.png", "--pipeline", "abs"), 2, ["nothing.png"]),
        (("one.png", "--pipeline", "pool 7"), 1, ["7 does not fit"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, code, words, workspace, inline):
    assert_refused(inline("animate", *arguments), code, *words)
    assert not list(workspace.glob("*.webp"))


def test_values_that_are_no_numbers_are_shown_too():
    data = np.full((4, 4), np.nan)
    data[0, 0] = np.inf
    assert film("relu | pool 2 | flatten", data)
    assert film("convolve vertical", np.full((40, 40), np.nan))


def test_a_gif_of_frames_has_their_colours():
    shades = [np.full((8, 8, 3), level, np.uint8) for level in (0, 100, 200)]
    import io

    with Image.open(io.BytesIO(encoded(shades, [100] * 3, ".gif"))) as image:
        found = [np.asarray(one.convert("RGB"))[0, 0, 0] for one in ImageSequence.Iterator(image)]
    assert found == [0, 100, 200]
