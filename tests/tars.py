"""Samples, tar streams of them, and pipes that they come through."""

from __future__ import annotations

import io
import tarfile

import numpy as np
from PIL import Image

from featcli.frame import Frame, Sample, Source, Step
from featcli.io.options import ReadOptions
from featcli.io.stream import TarWriter, read_tar

MAPS = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
HISTORY = (Step.of("read", unit=True), Step.of("convolve", kernel=((1.0, -2.5),), stride=2))


def sample(key="k", parts=("",), data=MAPS, file="k.png"):
    source = Source(key, file)
    labels = ("a", "b") if data.ndim > 1 else ()
    return Sample(source, tuple(Frame(data, labels, source, part, HISTORY) for part in parts))


def stream_of(*samples) -> bytes:
    stream = io.BytesIO()
    writer = TarWriter(stream)
    for one in samples:
        writer.write(one)
    writer.close()
    return stream.getvalue()


def samples_of(data: bytes, **choices):
    return list(read_tar(Pipe(data), ReadOptions(**choices)))


class Pipe(io.RawIOBase):
    """Bytes that cannot be sought, and that arrive in odd pieces."""

    def __init__(self, data: bytes):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.data.readinto(memoryview(buffer)[:7000])

    def read(self, size=-1):
        return self.data.read(size)


def assert_same(found, expected):
    assert (found.source, found.error) == (expected.source, expected.error)
    assert len(found.frames) == len(expected.frames)
    for a, b in zip(found.frames, expected.frames, strict=True):
        assert (a.labels, a.part, a.source, a.history) == (b.labels, b.part, b.source, b.history)
        assert a.data.dtype == b.data.dtype
        assert a.data.tobytes() == b.data.tobytes()
        assert a.data.shape == b.data.shape


def tar_of(*entries, format=tarfile.PAX_FORMAT) -> bytes:
    """A tar of `(name, bytes)` or of `TarInfo`s."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for entry in entries:
            info, data = (entry, b"") if isinstance(entry, tarfile.TarInfo) else (None, entry[1])
            if info is None:
                info = tarfile.TarInfo(entry[0])
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def picture(value=7) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), value).save(stream, "PNG")
    return stream.getvalue()


def npy_of(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
