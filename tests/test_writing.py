"""Frames to files: what is written, under which name, and what comes back from it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import portable
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sinks import HISTORY, MAPS, STATE, files_in, frame_of, heading_of, put, samples_in

import featcli
from featcli.errors import UsageError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.naming import Heading, key_of, stem
from featcli.io.outputs import (
    OutputSpec,
    file_sink,
    folder_sink,
    is_folder,
    open_sink,
    pipe_sink,
)
from featcli.io.sinks import WriteOptions
from featcli.view.png import read_info


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


# What is written


def test_a_result_is_an_array_a_picture_and_a_sidecar_named_by_key_part_and_history(folder):
    (written,) = put(folder_sink(folder, WriteOptions()), frame_of(key="sub/img", part="R"))
    base = "sub/img.R.vertical.relu"
    assert files_in(folder) == [f"{base}.json", f"{base}.npy", f"{base}.png"]
    assert written.path == str(folder / f"{base}.npy")
    assert written.status == "written"
    assert written.files == (str(folder / f"{base}.npy"), str(folder / f"{base}.png"))


def test_what_is_written_is_read_back_as_the_frame_that_it_was(folder):
    frame = frame_of(part="R", labels=("x", "ü\n"))
    (written,) = put(folder_sink(folder, WriteOptions()), frame)
    found = featcli.read(written.path)
    assert np.array_equal(found.data, frame.data)
    assert (found.labels, found.source, found.part, found.history) == (
        frame.labels, frame.source, frame.part, frame.history,
    )  # fmt: skip


def test_without_sidecar_there_is_none(folder):
    put(folder_sink(folder, WriteOptions(sidecar=False)), frame_of())
    assert [Path(name).suffix for name in files_in(folder)] == [".npy", ".png"]


def test_a_flat_folder_drops_the_folders_of_the_key(folder):
    put(folder_sink(folder, WriteOptions(), flat=True), frame_of(key="a/b/img"))
    assert files_in(folder)[0] == "img.vertical.relu.json"


@pytest.mark.parametrize("name", ["b'\\xff'", "日本", "two\nlines", "a b", "100%"])
def test_any_name_of_a_file_is_written_and_read(folder, name):
    key = os.fsdecode(b"\xff\xfe") if name.startswith("b'") else name
    (written,) = put(folder_sink(folder, WriteOptions()), frame_of(key=key))
    assert featcli.read(written.path).source.key == key


def test_names_stay_within_what_file_systems_take(folder):
    frames = [frame_of(key="é" * 120 + end) for end in "ab"]
    sink = folder_sink(folder, WriteOptions())
    for frame in frames:
        put(sink, frame)
    assert len(files_in(folder)) == 6
    assert all(len(os.fsencode(name)) < 250 for name in files_in(folder))


@given(st.text(max_size=20).filter(lambda part: "\0" not in part))
def test_a_part_never_leads_out_of_the_folder(part):
    name = stem(Heading(Source("k", ""), part, ()), flat=False)
    assert "/" not in name
    assert name not in (".", "..")


def test_the_key_of_a_file_is_its_path_without_the_suffix():
    assert [key_of(name) for name in ("a.png", "b/a.v1.png", ".png", "x.d/a", "a.")] == [
        "a", "b/a.v1", ".png", "x.d/a", "a",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png", ".tar"])
def test_a_file_is_of_the_kind_of_its_suffix(tmp_path, suffix):
    frame = frame_of()
    path = tmp_path / f"x{suffix}"
    assert [one.path for one in put(file_sink(path), frame)] == [str(path)]
    extra = {".npy": ["x.json"], ".npz": ["x.json"]}.get(suffix, [])
    assert files_in(tmp_path) == sorted([*extra, path.name])
    if suffix in (".npy", ".npz"):
        assert featcli.read(path).history == HISTORY
    if suffix == ".tar":
        (found,) = samples_in(path)
        assert np.array_equal(found.frames[0].data, MAPS)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(
        UsageError, match=r"give \.npy, \.npz, \.png, \.tar, \.zarr, \.csv, .*, or a folder"
    ):
        OutputSpec.parse(str(tmp_path / "x.jpg"))


def test_what_output_means_a_folder(tmp_path):
    (tmp_path / "is.npy").mkdir()
    assert is_folder(str(tmp_path / "is.npy"))
    assert is_folder("new/")
    assert is_folder("new")
    assert not is_folder("new.npy")


def test_an_output_below_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    for output in ("file/x/", "file/x.npy", "file/x.tar"):
        with pytest.raises(UsageError, match="is a file, not a folder"):
            open_sink(OutputSpec.parse(str(tmp_path / output)), io.BytesIO()).check()
    assert files_in(tmp_path) == ["file"]


@pytest.mark.skipif(portable.is_root(), reason="root may write anywhere")
def test_an_output_folder_without_permission_is_refused_before_any_work(tmp_path):
    tmp_path.chmod(0o500)
    for output in ("x/", "x.npy", "x.tar"):
        with pytest.raises(UsageError, match="no permission to write"):
            open_sink(OutputSpec.parse(str(tmp_path / output)), io.BytesIO()).check()


def test_one_file_holds_one_result(tmp_path):
    sink = file_sink(tmp_path / "x.npy")
    with sink, pytest.raises(UsageError, match="holds one result, and there are several"):
        sink.existing_results([heading_of(frame_of(part=part)) for part in "RG"], STATE)
    assert files_in(tmp_path) == []


def test_bare_output_is_the_array_or_picture_alone():
    for format in ("npy", "png"):
        stream = io.BytesIO()
        put(pipe_sink(stream, format, WriteOptions()), frame_of())
        stream.seek(0)
        if format == "npy":
            assert np.array_equal(np.load(stream), MAPS)
        else:
            assert Image.open(stream).format == "PNG"


def test_archives_know_every_array_and_refuse_one_name_twice(tmp_path):
    for suffix in (".npz", ".tar"):
        sink = file_sink(tmp_path / f"x{suffix}")
        with sink:
            for key in ("a.b", "sub/c"):
                sink.write(Sample(Source(key), (frame_of(key=key),)), STATE)
            with pytest.raises(UsageError, match="two inputs would be called"):
                sink.write(Sample(Source("sub/c"), (frame_of(key="sub/c", history=()),)), STATE)
            sink.finish()
    with np.load(tmp_path / "x.npz") as archive:
        assert sorted(archive) == ["a%2Eb", "sub/c"]
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == ["a%2Eb.json", "a%2Eb.npy", "sub/c.json", "sub/c.npy"]


def test_parts_of_an_image_that_follow_each_other_are_one_sample(tmp_path):
    sink = file_sink(tmp_path / "x.tar")
    with sink:
        for part in "RGB":
            sink.write(Sample(Source("a"), (frame_of(key="a", part=part),)), STATE)
        sink.write(Sample(Source("b"), (frame_of(key="b"),)), STATE)
        sink.finish()
    found = samples_in(tmp_path / "x.tar")
    assert [[frame.part for frame in one.frames] for one in found] == [["R", "G", "B"], [""]]


@pytest.mark.parametrize("suffix", [".npz", ".tar"])
def test_where_every_input_failed_no_archive_is_left(tmp_path, suffix):
    sink = file_sink(tmp_path / f"x{suffix}")
    with sink:
        sink.fail(Sample(Source("a"), error="a.png: broken"))
        assert sink.finish() == []
    assert files_in(tmp_path) == []


# Records


def test_a_record_survives_json_and_names_that_are_no_utf8():
    record = records.describe_source(Source(os.fsdecode(b"\xff"), "f"))
    assert records.loads(records.dumps(record)) == record


def test_the_digest_of_frames_knows_numbers_labels_and_history():
    frames = [
        frame_of(),
        frame_of(MAPS + 1),
        frame_of(history=()),
        frame_of(labels=("p", "q")),
        frame_of(part="R"),
        frame_of(MAPS.astype(np.float64)),
    ]
    assert len({json.dumps(records.digest_of((frame,))) for frame in frames}) == len(frames)


# The picture


@given(st.data())
@settings(max_examples=60)
def test_values_come_back_from_the_picture_within_half_a_step(tmp_path_factory, draw):
    shape = draw.draw(st.sampled_from([(4, 5, 1), (4, 5, 3), (3, 4, 5), (11,)]))
    seed, scale = draw.draw(st.integers(0, 99)), draw.draw(st.sampled_from([1e-3, 1.0, 1e6]))
    low = draw.draw(st.sampled_from([0.0, 0.5]))
    data = ((np.random.default_rng(seed).random(shape) - low) * scale).astype(np.float32)
    path = tmp_path_factory.getbasetemp() / "recovered.png"
    put(file_sink(path, WriteOptions(overwrite=True)), frame_of(data))
    with path.open("rb") as stream:
        info = read_info(stream)
    found = featcli.recover(path)
    step = (info["hi"] - info["lo"]) / 255
    assert found.shape == data.shape
    assert np.abs(found - data).max() <= step / 2 * (1 + 1e-6)


def test_eight_bit_values_come_back_from_the_picture_exactly(tmp_path):
    data = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)
    featcli.write(tmp_path / "x.png", data)
    assert np.array_equal(featcli.recover(tmp_path / "x.png"), data)


def test_nothing_is_read_back_from_a_picture_of_another_maker_or_an_altered_one(tmp_path):
    data = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)
    Image.fromarray(data).save(tmp_path / "other.png")
    featcli.write(tmp_path / "x.png", data)
    with Image.open(tmp_path / "x.png") as image:
        texts = PngInfo()
        for name, text in image.text.items():
            texts.add_text(name, text)
        pixels = np.asarray(image).copy()
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(tmp_path / "altered.png", pnginfo=texts)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("other.png", "altered.png", "text.png"):
        with pytest.raises(featcli.FeatError, match=f"{name}: no picture that featcli drew"):
            featcli.recover(tmp_path / name)
    with pytest.raises(featcli.FeatError, match="no such file"):
        featcli.recover(tmp_path / "nowhere.png")


def test_what_a_picture_cannot_show_is_said(folder):
    data = MAPS.copy()
    data[0, 0] = [np.nan, np.inf]
    (written,) = put(folder_sink(folder, WriteOptions()), frame_of(data))
    assert written.notes == (
        "1 values are NaN, magenta in the picture",
        "1 values are infinite, yellow or cyan in the picture",
    )


@pytest.mark.parametrize("output", ["all.tar", "all.npz"])
def test_two_inputs_of_one_name_are_refused_before_an_archive_is_begun(output, workspace, featcli):
    (workspace / "photo.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "photo.jpg", "photo.png", "-o", output)
    assert done.returncode == 2
    assert "two inputs would be called photo" in done.stderr
    assert not (workspace / output).exists()
