"""A tar stream that is cut, damaged or hostile is refused, and costs what was sent."""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import json
import subprocess
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tars import (
    MAPS,
    Pipe,
    npy_of,
    picture,
    sample,
    samples_of,
    stream_of,
    tar_of,
)

from featcli.errors import FeatError, ReadError
from featcli.frame import Sample, Source
from featcli.io.options import ReadOptions
from featcli.io.stream import TarWriter, escape, read_tar

# Truncation

LONG = "n" * 300
WHOLE = [
    sample("a", ("R", "G")),
    sample("z", data=np.zeros((20, 20, 2), np.float32)),
    Sample(Source("e", "e.png"), error="e.png: broken"),
    sample(LONG, data=np.zeros((9, 9, 2))),
]


def reads_whole(data: bytes) -> bool:
    """Whether the stream is taken for complete; else it has to be a ReadError."""
    try:
        found = samples_of(data)
    except ReadError as error:
        assert "tar stream" in str(error)
        return False
    assert [one.source.key for one in found] == ["a", "z", "e", LONG]
    return True


def test_a_stream_cut_at_any_block_or_odd_place_is_refused():
    data = stream_of(*WHOLE)
    assert reads_whole(data)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    while data[end : end + 512].strip(b"\0"):
        end += 512
    marks = {cut for cut in range(len(data) + 1) if cut % 512 in (0, 1, 100, 511)}
    complete = {cut for cut in marks if reads_whole(data[:cut])}
    # All that may be missing is the padding after the block of zeros that ends the archive.
    assert complete
    assert min(complete) == data_end(data) + 512
    assert complete == {cut for cut in marks if cut >= min(complete)}


def data_end(data: bytes) -> int:
    """Where the last entry ends, by tarfile itself."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        last = tar.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512


@pytest.mark.parametrize("cut", [*range(0, 3072, 512), 700, 2000])
def test_a_tar_of_images_that_is_cut_is_refused(cut):
    data = tar_of(("a.png", picture()), ("b.png", picture()))
    assert data_end(data) == 2048
    found = []
    if cut >= 2560:
        assert len(samples_of(data[:cut])) == 2
        return
    with pytest.raises(ReadError):
        found.extend(read_tar(Pipe(data[:cut]), ReadOptions()))


def test_what_came_whole_before_the_cut_is_given_first():
    data = stream_of(sample("a"), sample("b"))
    found = []
    with pytest.raises(ReadError, match="truncated"):
        for one in read_tar(Pipe(data[: 512 * 5]), ReadOptions()):
            found.append(one)
    assert [one.source.key for one in found] == ["a"]


def test_a_broken_header_in_the_middle_is_refused():
    data = bytearray(stream_of(sample("a"), sample("b")))
    data[512 * 4 + 10] ^= 1
    with pytest.raises(ReadError, match="broken"):
        samples_of(bytes(data))


def test_a_header_of_zeros_in_the_middle_is_no_silent_end():
    data = bytearray(stream_of(sample("a"), sample("b")))
    data[512 * 4 : 512 * 5] = bytes(512)
    with pytest.raises(ReadError, match="goes on after its end"):
        samples_of(bytes(data))


def test_two_streams_joined_are_no_silent_loss():
    with pytest.raises(ReadError, match="goes on after its end"):
        samples_of(stream_of(sample("a")) + stream_of(sample("b")))


@given(st.data())
@settings(max_examples=300)
def test_damaged_streams_give_samples_or_a_featcli_error(draw):
    data = bytearray(stream_of(sample("a", ("R",)), sample(LONG)).rstrip(b"\0") + bytes(2048))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(FeatError):
        samples_of(bytes(data))


@given(st.binary(max_size=1500))
def test_random_bytes_raise_a_featcli_error(data):
    with pytest.raises(FeatError):
        samples_of(data + b"x")


# Hostile


def head(**changes):
    record = {
        "featcli": "1",
        "source": {"key": "k", "file": "k.png"},
        "parts": [
            {"part": "", "labels": ["a", "b"], "shape": [3, 4, 2], "dtype": "<f4", "history": []}
        ],
    }
    return record | changes


def hostile(record, name="k.npy"):
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    return tar_of(("k.json", text), (name, npy_of(MAPS)))


def test_the_head_that_the_hostile_ones_differ_from_is_read():
    (found,) = samples_of(hostile(head()))
    assert found.frames[0].labels == ("a", "b")


def part(**changes):
    return head(parts=[head()["parts"][0] | changes])


def deep_history(depth):
    value = "1"
    for _ in range(depth):
        value = f"[{value}]"
    record = json.dumps(part(history=[{"stage": "s", "params": {"p": 7.25}}]))
    return record.replace("7.25", value).encode()


HOSTILE = {
    "key upwards": head(source={"key": "../../x", "file": ""}),
    "key inside upwards": head(source={"key": "a/../../x", "file": ""}),
    "key from the root": head(source={"key": "/etc/x", "file": ""}),
    "empty key": head(source={"key": "", "file": ""}),
    "key of a dot": head(source={"key": ".", "file": ""}),
    "key with NUL": head(source={"key": "a\0b", "file": ""}),
    "key that is no file name": head(source={"key": "\ud800", "file": ""}),
    "key that is no text": head(source={"key": 7, "file": ""}),
    "file that is no text": head(source={"key": "k", "file": ["x"]}),
    "no source": head(source=None),
    "parts that are no list": head(parts={"a": 1}),
    "parts that are no records": head(parts=[1, 2]),
    "huge number of parts": head(parts=[{}] * 10_000),
    "labels that are no list": part(labels="ab"),
    "labels that are no text": part(labels=[1, 2]),
    "too few labels": part(labels=["a"]),
    "too many labels": part(labels=["a"] * 100_000),
    "another shape": part(shape=[3, 4, 3]),
    "shape of text": part(shape="3, 4, 2"),
    "another type": part(dtype="<f8"),
    "part that is no text": part(part=7),
    "part upwards": part(part="../x"),
    "history that is no list": part(history={"stage": "relu"}),
    "history of text": part(history=["relu"]),
    "history without params": part(history=[{"stage": "relu"}]),
    "history with a stage that is no text": part(history=[{"stage": 1, "params": {}}]),
    "history with a record in it": part(history=[{"stage": "s", "params": {"p": {"a": 1}}}]),
    "history with NaN": part(history=[{"stage": "s", "params": {"p": float("nan")}}]),
    "history with infinity": json.dumps(part(history=[{"stage": "s", "params": {"p": 7.25}}]))
    .replace("7.25", "1e999")
    .encode(),
    "history of deep lists": deep_history(100_000),
    "history of rather deep lists": deep_history(800),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_head_is_refused_or_left_out_and_nothing_follows_it(name):
    data = hostile(HOSTILE[name])
    try:
        found = samples_of(data)
    except ReadError:
        return
    # What is no head at all is an entry like any other, and the array stands for itself.
    # One whose source leads elsewhere fails with its array, and nothing after it.
    assert len(found) == 1
    assert found[0].error.startswith("k.json in the tar stream: ") or (
        found[0].frames[0].history == ()
    )


@pytest.mark.parametrize("name", [name for name in HOSTILE if "key" in name])
def test_a_sample_with_a_hostile_key_takes_no_other_with_it(name):
    record = json.dumps(HOSTILE[name]).encode()
    whole = tar_of(("k.json", record), ("k.npy", npy_of(MAPS)), ("b.png", picture()))
    bad, good = samples_of(whole)
    assert bad.error.startswith("k.json in the tar stream: the ")
    assert not bad.frames
    assert good.source.key == "b"


def test_a_head_whose_part_is_another_entry_is_refused():
    with pytest.raises(ReadError, match=r"other\.npy where k\.npy should be"):
        samples_of(hostile(head(), name="other.npy"))
    with pytest.raises(ReadError, match=r"the end where k\.npy should be"):
        samples_of(tar_of(("k.json", json.dumps(head()).encode())))


def test_a_sidecar_in_a_tar_is_no_head_of_a_sample():
    record = head(shape=[3, 4, 2])
    del record["parts"]
    found = samples_of(hostile(record))
    assert [bool(one.frames) for one in found] == [True]


def test_a_head_that_is_too_large_is_refused_unread():
    entry = tarfile.TarInfo("k.json")
    entry.size = 1 << 40
    data = entry.tobuf(tarfile.GNU_FORMAT) + bytes(5000)
    with pytest.raises(ReadError, match="too large for a sample's head"):
        samples_of(data)


def test_an_entry_that_claims_a_terabyte_costs_what_was_sent():
    for name in ("a.png", "a.npy", "a.txt"):
        entry = tarfile.TarInfo(name)
        entry.size = 1 << 40
        tracemalloc.start()
        try:
            with pytest.raises(ReadError):
                samples_of(entry.tobuf(tarfile.GNU_FORMAT) + picture() + bytes(5000))
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


def special(name, kind, target=""):
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    return entry


def test_links_devices_and_folders_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.png").write_bytes(picture())
    data = tar_of(
        special("folder", tarfile.DIRTYPE),
        special("link.png", tarfile.SYMTYPE, str(tmp_path / "secret.png")),
        special("hard.png", tarfile.LNKTYPE, "secret.png"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
        ("a.png", picture()),
    )
    found = samples_of(data)
    assert [(one.source.key, bool(one.error), bool(one.frames)) for one in found] == [
        ("link", True, False),
        ("hard", True, False),
        ("a", False, True),
    ]
    assert found[0].error == "link.png in the tar stream is a link or special file: skipped"


def test_images_with_names_that_lead_elsewhere_stay_inside_or_fail():
    data = tar_of(
        *((name, picture()) for name in ("/etc/x.png", "../x.png", "a/../../x.png", "./a/./b.png"))
    )
    found = samples_of(data)
    assert [one.source.key for one in found if one.frames] == ["etc/x", "a/b"]
    assert [one.error[:30] for one in found if one.error] == [
        "../x.png: the key '../x.png' l",
        "a/../../x.png: the key '../x.p",
    ]


def test_a_sparse_entry_is_not_unrolled(tmp_path):
    with (tmp_path / "big.png").open("wb") as stream:
        stream.truncate(1 << 40)
    command = ["tar", "-S", "-cf", "-", "-C", str(tmp_path), "big.png"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    (found,) = samples_of(data)
    assert "link or special file" in found.error


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples():
    class Endless(io.RawIOBase):
        """2,000 samples, made while they are read."""

        def __init__(self):
            self.writer = TarWriter(self)
            self.left, self.pending = 2000, bytearray()

        def write(self, data):
            self.pending += data
            return len(data)

        def flush(self):
            pass

        def read(self, size):
            while len(self.pending) < size and self.left:
                self.left -= 1
                self.writer.write(sample(f"key {self.left}"))
                if not self.left:
                    self.writer.close()
            data, self.pending = bytes(self.pending[:size]), self.pending[size:]
            return data

    found, early = 0, 0
    tracemalloc.start()
    try:
        for _ in read_tar(Endless(), ReadOptions()):
            found += 1
            if found == 200:
                gc.collect()
                early = tracemalloc.get_traced_memory()[0]
        gc.collect()
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert found == 2000
    assert late - early < 200_000


def test_a_gzipped_tar_is_no_tar_stream():
    with pytest.raises(ReadError):
        samples_of(gzip.compress(stream_of(sample())))


def test_an_escaped_name_has_no_dot_in_its_last_piece_and_is_unique():
    names = ["a.b", "a%2Eb", "a%b", "a%252Eb", "x.y/a.b"]
    assert len({escape(name) for name in names}) == len(names)
    assert not any("." in escape(name).rpartition("/")[2] for name in names)
