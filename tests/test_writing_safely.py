"""Complete under the final name or not there, and never over what is another's."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import portable
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sinks import HISTORY, MAPS, STATE, files_in, frame_of, heading_of, put

import featcli
from featcli.errors import OutputExists, UsageError, WriteError
from featcli.frame import Sample, Source
from featcli.io.atomic import Transaction
from featcli.io.outputs import file_sink, folder_sink
from featcli.io.sinks import WriteOptions

resource = portable.module("resource")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


class FullDisk(io.FileIO):
    """A disk with room for `room` bytes."""

    room = 0

    def write(self, data):
        size = len(memoryview(data).cast("B"))
        if size > FullDisk.room:
            raise OSError(28, "No space left on device")
        FullDisk.room -= size
        return super().write(data)


@pytest.fixture
def full_disk(monkeypatch):
    def is_full_after(room):
        def opened(path, mode, *_, **__):
            if "x" not in mode:
                return io.FileIO(path, mode.replace("b", ""))
            raw = FullDisk(path, mode.replace("b", ""))
            return io.BufferedRandom(raw, buffer_size=1)

        FullDisk.room = room
        monkeypatch.setattr(Path, "open", opened)

    return is_full_after


# Errors leave nothing


def test_a_full_disk_leaves_nothing_wherever_it_happens(folder, full_disk, monkeypatch):
    put(folder_sink(folder, WriteOptions()), frame_of())
    whole = sum((folder / name).stat().st_size for name in files_in(folder))
    for name in files_in(folder):
        (folder / name).unlink()
    # NumPy writes to a file's descriptor; through its stream the room can be counted.
    inside = np.lib.format.write_array.__globals__
    monkeypatch.setitem(inside, "isfileobj", lambda stream: False)
    for room in range(0, whole, 200):
        full_disk(room)
        with pytest.raises(WriteError, match=r"cannot write .*(No space left|write)"):
            put(folder_sink(folder, WriteOptions()), frame_of())
        assert files_in(folder) == []


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".png", ".tar"])
def test_a_limit_on_file_sizes_leaves_nothing(tmp_path, suffix):
    script = f"""
        import resource, numpy as np, featcli, featcli.errors
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        noise = np.random.default_rng(0).random((100, 100))
        try:
            featcli.write({str(tmp_path / "x") + suffix!r}, noise)
        except featcli.errors.FeatError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"cannot write {tmp_path / 'x'}")
    assert done.stdout.count("\n") == 1
    assert files_in(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_error_or_signal_takes_temporary_files_away(folder, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("featcli.io.placing.save_picture", fail)
    with pytest.raises(error):
        put(folder_sink(folder, WriteOptions()), frame_of())
    assert files_in(folder) == []


@pytest.mark.parametrize("suffix", [".npz", ".tar"])
def test_an_archive_that_is_not_finished_is_not_there(tmp_path, suffix):
    sink = file_sink(tmp_path / f"x{suffix}")
    with pytest.raises(KeyboardInterrupt), sink:
        sink.write(Sample(Source("a"), (frame_of(key="a"),)), STATE)
        assert not (tmp_path / f"x{suffix}").exists()
        raise KeyboardInterrupt
    assert files_in(tmp_path) == []


def test_what_was_there_survives_a_failed_overwrite(folder, full_disk):
    put(folder_sink(folder, WriteOptions()), frame_of())
    before = {name: (folder / name).read_bytes() for name in files_in(folder)}
    full_disk(600)
    with pytest.raises(WriteError):
        put(folder_sink(folder, WriteOptions(overwrite=True)), frame_of(MAPS + 1))
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == before


def test_the_moves_of_a_transaction_keep_their_order(tmp_path, monkeypatch):
    moved = []
    link = Path.hardlink_to
    monkeypatch.setattr(Path, "hardlink_to", lambda a, b: (moved.append(a.name), link(a, b)))
    with Transaction() as files:
        for name in "cab":
            files.open(tmp_path / name).write(name.encode())
        assert [path.name for path in tmp_path.iterdir()] == [".featcli"]
        files.commit()
    assert moved == ["c", "a", "b"]
    assert files_in(tmp_path) == ["a", "b", "c"]


def test_a_folder_in_the_place_of_a_result_is_refused(tmp_path):
    (tmp_path / "x.npy").mkdir()
    with pytest.raises(WriteError, match="is not a regular file"), Transaction() as files:
        files.open(tmp_path / "x.npy")
    with pytest.raises(OutputExists):
        featcli.write(tmp_path / "x.npy", MAPS)


# What is there already


def result(folder, frame=None, state=STATE, **choices):
    (written,) = put(folder_sink(folder, WriteOptions(**choices)), frame or frame_of(), state=state)
    return written


def test_the_same_recipe_and_input_is_unchanged_and_not_touched(folder):
    first = result(folder)
    stamps = [(folder / name).stat().st_mtime_ns for name in files_in(folder)]
    second = result(folder)
    assert (first.status, second.status) == ("written", "unchanged")
    assert second.path == first.path
    assert [(folder / name).stat().st_mtime_ns for name in files_in(folder)] == stamps


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"size": 11, "mtime_ns": 7}},
        {"state": {}},
        {"view": "minmax"},
        {"cmap": "viridis"},
        {"frame": frame_of(MAPS, history=HISTORY, key="img", labels=("p", "q"))},
    ],
)
def test_featclis_own_unmodified_result_is_replaced_when_something_changed(folder, change):
    result(folder)
    if "frame" in change:  # the labels come from the input, which then changed too
        change = {**change, "state": {"blake2b": "x"}}
    assert result(folder, **change).status == "written"


def test_a_result_without_its_picture_is_written_again(folder):
    result(folder)
    next(folder.glob("*.png")).unlink()
    assert result(folder).status == "written"
    assert len(files_in(folder)) == 3


@pytest.mark.parametrize("suffix", [".npy", ".png"])
def test_featclis_own_result_that_was_modified_is_refused(folder, suffix):
    result(folder)
    path = next(folder.glob(f"*{suffix}"))
    path.write_bytes(path.read_bytes() + b"x")
    before = path.read_bytes()
    for state in (STATE, {"size": 1}):
        with pytest.raises(OutputExists, match=f"{suffix} exists already"):
            result(folder, state=state)
    assert path.read_bytes() == before
    assert result(folder, overwrite=True).status == "written"
    assert path.read_bytes() != before


@pytest.mark.parametrize("suffix", [".npy", ".png", ".json"])
@pytest.mark.parametrize("content", [b"", b"mine", b'{"a": 1}', b"[1]"])
def test_a_foreign_file_is_refused_and_untouched(folder, suffix, content):
    folder.mkdir()
    path = folder / f"img.vertical.relu{suffix}"
    path.write_bytes(content)
    with pytest.raises(OutputExists, match="changed since: --overwrite replaces"):
        result(folder)
    assert files_in(folder) == [path.name]
    assert path.read_bytes() == content
    assert result(folder, overwrite=True).status == "written"


def test_a_link_to_nowhere_is_foreign_too(folder):
    folder.mkdir()
    (folder / "img.vertical.relu.npy").symlink_to("gone")
    with pytest.raises(OutputExists):
        result(folder)
    assert (folder / "img.vertical.relu.npy").is_symlink()


@pytest.mark.parametrize(
    "change",
    [{"outputs": 7}, {"outputs": {"img.vertical.relu.npy": 7}}, {"history": 7}, {"source": None}],
)
def test_a_sidecar_that_makes_no_sense_makes_nothing_featclis_own(folder, change):
    result(folder)
    sidecar = next(folder.glob("*.json"))
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    with pytest.raises(OutputExists):
        result(folder)


def test_names_are_checked_before_any_work(folder):
    folder.mkdir()
    sink = folder_sink(folder, WriteOptions())
    same = [heading_of(frame_of()), heading_of(frame_of())]
    with pytest.raises(UsageError, match="two inputs would write"):
        sink.preflight(same)
    (folder / "img.vertical.relu.npy").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        sink.preflight(same[:1])


def test_two_results_of_one_name_are_refused_when_it_is_known(folder):
    sink = folder_sink(folder, WriteOptions())
    put(sink, frame_of())
    with pytest.raises(UsageError, match="two inputs would write"):
        put(sink, frame_of(MAPS + 1), state={"size": 1})


@pytest.mark.parametrize("suffix", [".npz", ".tar"])
def test_an_archive_that_exists_is_replaced_only_if_asked_to(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        file_sink(path).check()
    assert path.read_bytes() == b"mine"
    put(file_sink(path, WriteOptions(overwrite=True)), frame_of())
    assert path.read_bytes() != b"mine"


def test_the_sidecar_of_an_npz_is_not_overwritten_either(tmp_path):
    (tmp_path / "x.json").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        file_sink(tmp_path / "x.npz").check()
    assert files_in(tmp_path) == ["x.json"]


def test_a_picture_alone_is_unchanged_replaced_or_refused_by_its_own_record(tmp_path):
    path = tmp_path / "x.png"

    def again(state):
        return put(file_sink(path), frame_of(), state=state)[0].status

    assert [again(STATE), again(STATE), again({"size": 1})] == ["written", "unchanged", "written"]
    with Image.open(path) as image:
        painted, texts = Image.new(image.mode, image.size), PngInfo()
        for key, value in image.text.items():
            texts.add_itxt(key, value)
    painted.save(path, pnginfo=texts)  # as an editor does that keeps what it does not know
    with pytest.raises(OutputExists):
        again(STATE)
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(OutputExists):
        again(STATE)


def test_an_array_alone_without_sidecar_is_never_replaced_silently(tmp_path):
    options = WriteOptions(sidecar=False)
    put(file_sink(tmp_path / "x.npy", options), frame_of())
    with pytest.raises(OutputExists):
        put(file_sink(tmp_path / "x.npy", options), frame_of())


def test_write_takes_arrays_and_is_content_to_find_its_own(tmp_path):
    for _ in range(2):
        featcli.write(tmp_path / "x.npy", MAPS)
    featcli.write(tmp_path / "x.npy", MAPS + 1)
    assert np.array_equal(featcli.read(tmp_path / "x.npy").data, MAPS + 1)
    (tmp_path / "x.npy").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        featcli.write(tmp_path / "x.npy", MAPS)
