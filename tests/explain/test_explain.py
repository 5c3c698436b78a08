"""`featcli explain`, `run --montage` and `show --pipeline` as commands, and what they refuse."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import zlib

import numpy as np
import pytest
from conftest import assert_refused, listing
from explain_subjects import NETWORK, network, picture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from featcli.frame import Frame
from featcli.models.tracing import trace_model, trace_pipeline
from featcli.pipeline import Pipeline
from featcli.trace import Layer, Opaque, Sum
from featcli.view import filmstrip, montage
from featcli.view.explain.packing import packed, smallest
from featcli.view.explain.page import page
from featcli.view.explain.selection import remainder, select
from featcli.view.html import as_json, element
from featcli.view.maps import Maps, as_png, wrap

PIPELINE = "convolve vertical | relu | pool 2 | flatten"


def test_the_page_is_one_file_that_names_every_layer(workspace, inline):
    done = inline("explain", "small.png", "--pipeline", PIPELINE, "-o", "report.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "report.html\n", "")
    text = (workspace / "report.html").read_text("utf-8")
    for name in ("input", "convolve", "relu", "pool", "flatten"):
        assert f"</span>{name}</h3>" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", text)
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", text)


def test_without_o_it_is_named_by_picture_and_recipe(workspace, inline):
    done = inline("explain", "one.png", "--model", "zero-one")
    assert done.stdout == "one.zero-one.html\n"
    done = inline("explain", "small.png", "--pipeline", "gray | pool 2")
    assert done.stdout == "small.gray.max2.html\n"


def test_without_model_and_pipeline_it_is_the_network_of_classify(workspace, inline):
    done = inline("explain", "photo.jpg")
    assert done.stdout == "photo.imagenet.html\n"
    path = workspace / "photo.imagenet.html"
    text = path.read_text("utf-8")
    assert "tiger cat" in text and "Class activation maps" in text
    assert path.stat().st_size < 15_000_000


def test_a_folder_gets_a_picture_of_each_layer_in_order(workspace, inline):
    done = inline("explain", "small.png", "--pipeline", PIPELINE, "-o", "layers/")
    names = ["0-input", "1-convolve", "2-relu", "3-pool", "4-flatten"]
    assert done.stdout.split() == [f"layers/{name}.png" for name in names]
    for name in names:
        with Image.open(workspace / "layers" / f"{name}.png") as image:
            assert image.width == 1240


def test_pictures_are_named_safely_whatever_a_channel_is_called(workspace, inline):
    import featcli

    frame = picture().replace(labels=("../../R", "G/\x00", "block1.B"))
    featcli.write("odd.npy", frame)
    done = inline("explain", "odd.npy", "--pipeline", "split-channels", "-o", "layers/")
    assert done.stdout.splitlines() == [
        "layers/0-input.png",
        "layers/1-split-channels_.._.._R.png",
        "layers/2-split-channels_G__.png",
        "layers/3-split-channels_block1.B.png",
    ]


def test_a_filmstrip_alone_and_beside_a_page(workspace, inline):
    done = inline("explain", "one.png", "--model", "zero-one", "--filmstrip", "strip.png")
    assert done.stdout == "strip.png\n"
    done = inline(
        "explain", "one.png", "--model", "zero-one", "--filmstrip", "s.png", "-o", "page.html"
    )
    assert done.stdout == "page.html\ns.png\n"


def test_a_picture_is_taken_from_a_pipe_and_the_page_goes_into_one(workspace, inline):
    data = (workspace / "small.png").read_bytes()
    done = inline("explain", "--pipeline", "pool 2", "-o", "-", stdin=data, binary=True)
    assert done.returncode == 0
    assert done.stdout.startswith(b"<!doctype html>")


def test_its_own_report_is_replaced_and_nothing_else(workspace, inline):
    given = ("explain", "small.png", "--pipeline", "pool 2", "-o", "a.html")
    assert inline(*given).returncode == 0
    assert inline("explain", "small.png", "--pipeline", "pool 3", "-o", "a.html").returncode == 0
    with (workspace / "a.html").open("a") as stream:
        stream.write("<!-- mine -->")
    assert_refused(inline(*given), 2, "a.html exists already", "--overwrite")
    assert inline(*given, "--overwrite").returncode == 0
    (workspace / "s.png").write_bytes((workspace / "small.png").read_bytes())
    strip = ("explain", "small.png", "--pipeline", "pool 2", "--filmstrip", "s.png")
    assert_refused(inline(*strip), 2, "s.png exists already")
    assert_refused(
        inline("explain", "small.png", "--pipeline", "pool 2", "--filmstrip", "small.png",
               "--overwrite"), 2, "is an input")  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("small.png", "--model", "zero-one", "--pipeline", "abs"), 2, ["give one of them"]),
        (("small.png", "--pipeline", "abs", "-o", "a.pdf"), 2, ["a.pdf", ".html"]),
        (("small.png", "--pipeline", "abs", "--filmstrip", "a.jpg"), 2, ["a.jpg", ".png"]),
        (("small.png", "--pipeline", "flatten | pool 2"), 2, ["step 2 (pool) takes maps"]),
        (("small.png", "--model", "nonsense"), 2, ["no model 'nonsense'"]),
        (("small.png", "--unit"), 2, ["--unit goes with --pipeline"]),
        (("nothing.png", "--pipeline", "abs"), 2, ["no file 'nothing.png'"]),
        (("samples", "--pipeline", "abs"), 2, ["takes one image", "several"]),
        (("small.png", "--pipeline", "pool 7"), 1, ["small.png: pool", "7 does not fit into 6"]),
        (("small.png", "--pipeline", ""), 2, ["step 1 is empty"]),
        (("small.png", "--model", ""), 2, ["--model"]),
        (
            ("small.png", "--pipeline", "abs", "-o", "--quiet"),
            2,
            ["--quiet", "looks like an option"],
        ),
        (("small.png", "--pipeline", "abs", "--decode", "fast"), 2, ["--decode fast needs"]),
        (("broken.png", "--pipeline", "abs"), 1, ["broken.png"]),
    ],
)
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(workspace, inline, given, code, words):
    (workspace / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    before = listing(workspace)
    assert_refused(inline("explain", *given), code, *words)
    assert listing(workspace) == before


@pytest.mark.slow
def test_a_page_over_the_limit_says_which_option_helps(workspace, inline):
    given = ("explain", "photo.jpg", "--max-size", "1")
    before = listing(workspace)
    assert_refused(
        inline(*given, "--pipeline", "convolve vertical | relu"), 1,
        "photo.jpg", "larger than --max-size 1", "resize", "--max-size",
    )  # fmt: skip
    assert_refused(inline(*given), 1, "--max-size 1 (MB): raise --max-size")
    tight = ("explain", "photo.jpg", "--max-size", "5")
    (fewer,) = re.findall(r"--channels (\d+)", inline(*tight).stderr)
    assert inline(*tight, "--channels", fewer, "-o", "-", binary=True).returncode == 0
    assert listing(workspace) == before


def test_a_hostile_name_stays_text(workspace, inline):
    name = '"><script>alert(1)<!-- \x1b[31m.png'
    (workspace / name).write_bytes((workspace / "small.png").read_bytes())
    done = inline("explain", name, "--pipeline", "pool 2", "-o", "a.html")
    assert done.returncode == 0
    text = (workspace / "a.html").read_text("utf-8")
    assert "<script>alert" not in text and "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_montage_is_drawn_beside_the_result(workspace, inline):
    given = ("run", "convolve sobel-x sobel-y | abs", "small.png", "--montage", "sheet.png")
    done = inline(*given)
    assert done.stdout == "small.sobel-x+sobel-y.abs.npy\n"
    first = (workspace / "sheet.png").read_bytes()
    (workspace / "sheet.png").unlink()
    assert inline(*given).returncode == 0  # the result is there already, the sheet is not
    assert (workspace / "sheet.png").read_bytes() == first


def test_a_montage_of_several_pictures_is_refused(workspace, inline):
    given = ("run", "abs", "--montage", "sheet.png")
    assert_refused(inline(*given, "small.png", "gray.png"), 2, "--montage takes one image")
    assert_refused(inline(*given, "samples", "-o", "out/"), 2, "--montage takes one image")
    stream = inline("abs", "small.png", "gray.png", "-o", "-", binary=True).stdout
    done = inline(*given, "-o", "out/", stdin=stream)
    assert done.returncode == 2 and "--montage takes one image" in done.stderr
    assert not (workspace / "sheet.png").exists()


def test_a_montage_is_of_this_process_and_of_a_run(workspace, inline):
    for more in (("--timeout", "9"), ("--print-shell",)):
        done = inline("run", "relu", "photo.jpg", "--montage", "m.png", *more)
        assert_refused(done, 2, more[0], "--montage")
    assert not (workspace / "m.png").exists()


def test_a_montage_goes_where_nothing_else_does(workspace, inline):
    given = ("run", "abs", "small.png", "--montage")
    assert_refused(inline(*given, "gray.png"), 2, "gray.png exists already")
    assert_refused(inline(*given, "small.png", "--overwrite"), 2, "is an input")
    assert_refused(inline(*given, "sheet.jpg"), 2, "sheet.jpg", ".png")
    done = inline(*given, "small.abs.png")
    assert done.returncode == 2 and "a result was written there" in done.stderr


def test_show_previews_every_stage(workspace, inline):
    done = inline("show", "one.png", "--pipeline", "pool 2 | flatten", "--values")
    assert done.stdout.splitlines()[7:] == [
        "one.png: 3x3x1 uint8, 0 to 1, mean 0.333333  [pool]",
        "0 1 0",
        "0 1 0",
        "0 1 0",
        "one.png: 9 uint8, 0 to 1, mean 0.333333  [pool | flatten]",
        *"010010010",
    ]
    refused = inline("show", "one.png", "--pipeline", "pool 7")
    assert refused.returncode == 1 and "7 does not fit into 6" in refused.stderr


def test_show_takes_what_a_stage_gives_through_either_pipe(workspace, inline):
    stream = inline("convolve", "one.png", "-k", "vertical", "-o", "-", binary=True).stdout
    by_stream = inline("show", "--values", stdin=stream).stdout.splitlines()
    paths = inline("convolve", "one.png", "-k", "vertical").stdout
    by_paths = inline("show", "--values", stdin=paths).stdout.splitlines()
    assert by_paths[1:] == by_stream[1:]
    for line in (by_paths[0], by_stream[0]):
        assert line.endswith("[convolve --kernel vertical]")


ARRAYS = hnp.arrays(
    st.sampled_from([np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]),
    hnp.array_shapes(min_dims=1, max_dims=3),
)


@given(ARRAYS)
def test_numbers_survive_their_packing(array):
    exact = smallest(array)
    np.testing.assert_array_equal(exact.astype(np.float64), array.astype(np.float64))
    planes = zlib.decompress(base64.b64decode(packed(exact)), -15)
    width = exact.dtype.itemsize
    data = np.frombuffer(planes, np.uint8).reshape(width, -1).T.tobytes()
    np.testing.assert_array_equal(np.frombuffer(data, exact.dtype), exact.ravel())


@given(st.text())
def test_no_text_gets_out_of_its_place(text):
    inside = re.fullmatch(r'<a title="([^"<>]*)">([^<>"]*)</a>', element("a", text, title=text))
    assert inside
    shown = "".join(one if one.isprintable() else "\ufffd" for one in text)
    assert [html.unescape(one) for one in inside.groups()] == [shown, shown]
    inside[2].encode()  # lone surrogates of a file's name would be no UTF-8
    assert not set("<>&") & set(as_json({"text": text}))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_shown_maps_and_the_remainder_add_up(most):
    model = network()
    trace = trace_model(model, picture(20, 16))
    selection = select(trace, most)
    checked = 0
    for number, layer in enumerate(trace.layers):
        if not isinstance(layer.rule, Sum) or not layer.inputs:
            continue
        x = trace.inputs_of(layer)[0].data.astype(np.float64)
        shown = set(selection.channels[layer.inputs[0]])
        for k in selection.channels[number]:
            one = layer.rule.filters[k]
            rest = remainder(one, x, shown)
            every = remainder(one, x, set())
            kept = remainder(one, x, {int(c) for c in one.sources} - shown)
            if rest is None:
                continue
            checked += 1
            zero = np.zeros_like(every) if kept is None else kept
            np.testing.assert_allclose(zero + rest, every, rtol=1e-4, atol=1e-3)
    assert checked or most == 5


def test_a_deep_page_is_smaller_with_fewer_maps():
    trace = trace_model(network(), picture(20, 16))
    assert len(page(trace, 1)) < len(page(trace, 3)) < len(page(trace))


def test_pictures_of_maps_mark_what_is_no_number():
    data = np.array([[np.nan, 1], [2, -np.inf]])
    trace = trace_pipeline(Pipeline("relu"), picture().replace(data=data, labels=()))
    pixels = Maps(trace.layers[0]).pixels(0)
    assert pixels[0, 0].tolist() == [255, 0, 255]
    assert pixels[1, 1].tolist() == [0, 255, 255]
    with Image.open(io.BytesIO(as_png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)


@given(st.integers(1, 5000), st.integers(0, 99))
def test_a_vector_is_wrapped_into_rows_that_hold_it(length, row_length):
    layer = Layer("v", "v", Opaque(), (0,), np.zeros(length), row_length=row_length)
    rows = -(-length // wrap(layer))
    assert wrap(layer) * (rows - 1) < length <= wrap(layer) * rows


@pytest.mark.parametrize("order", ["chw", "hwc"])
def test_a_trace_knows_the_rows_that_were_flattened_until_they_are_mixed(order):
    text = f"pool 2 | flatten --order {order} | relu"
    trace = trace_pipeline(Pipeline(text), picture(20, 16))
    frame = Pipeline(text)(picture(20, 16))
    assert [layer.row_length for layer in trace.layers] == [
        0,
        0,
        frame.row_length,
        frame.row_length,
    ]
    model = trace_model(network(NETWORK), picture(20, 16))
    assert any(layer.row_length for layer in model.layers)
    assert not model.layers[-1].row_length


def test_the_filmstrip_of_zero_one_shows_the_small_picture_and_the_nine_values(samples):
    import featcli

    trace = trace_model(featcli.load_model("zero-one"), featcli.read(samples / "one.png"))
    strip = filmstrip.draw(trace)
    assert strip.info["layers"][:2] == ["pool", "flatten"]
    shapes = {layer.name: layer.data.shape for layer in trace.layers}
    assert (shapes["pool"], shapes["flatten"]) == ((3, 3, 1), (9,))


def test_small_maps_are_readable_in_the_large_pictures(samples):
    """Values that differ by less than a shade are drawn differently: by their numbers."""
    data = np.zeros((3, 3, 2), np.float32)
    data[0] = 1e6
    other = data.copy()
    other[2, 2] = 1
    for draw in (filmstrip.draw, lambda trace: montage.draw(trace.layers)):
        pixels = [draw(trace_pipeline(Pipeline(text), Frame(maps))).pixels
                  for text in ("abs", "abs | flatten") for maps in (data, other)]  # fmt: skip
        assert not np.array_equal(pixels[0], pixels[1])
        assert not np.array_equal(pixels[2], pixels[3])


def test_large_pictures_show_every_layer_and_fit_their_text():
    trace = trace_model(network(NETWORK), picture(20, 16))
    sheet = montage.draw(trace.layers)
    assert [one["name"] for one in sheet.info["layers"]] == [one.name for one in trace.layers]
    strip = filmstrip.draw(trace)
    assert strip.pixels.shape[0] == 560
    assert 2 <= len(strip.info["layers"]) <= 5


def test_what_does_not_print_is_replaced_in_the_data_of_the_page_too():
    from featcli.view.html import as_json

    found = as_json({"labels": ["a\u202eb", "x\n\0y"], "n": [1, 2.5, None, True]})
    assert json.loads(found) == {
        "labels": ["a\ufffdb", "x\ufffd\ufffdy"],
        "n": [1, 2.5, None, True],
    }
