"""A large array is written while its picture is drawn: complete or absent all the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from featcli import npy
from featcli.errors import DiskFull
from featcli.io.atomic import Transaction

LARGE = 2 << 20


def test_what_is_written_beside_is_complete_before_it_is_looked_at(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(600, 900)).astype(np.float32)
    with Transaction() as files:
        stream = files.open(tmp_path / "a.npy")
        files.write_beside(stream, data.nbytes, lambda one: npy.write(one, data))
        files.wait_written()
        assert os.fstat(stream.fileno()).st_size > data.nbytes
        assert not (tmp_path / "a.npy").exists()
        files.commit()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), data)


@pytest.mark.parametrize("size", [0, LARGE])
def test_an_error_beside_is_raised_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match=r"a\.npy: No space"), Transaction() as files:
        files.write_beside(files.open(tmp_path / "a.npy"), size, fail)
        files.wait_written()
        files.open(tmp_path / "a.json").write(b"{}")
        files.commit()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_leaving_waits_for_what_is_written_beside(tmp_path: Path) -> None:
    def slowly(stream: object) -> None:
        for _ in range(50):
            stream.write(bytes(1 << 16))  # type: ignore[attr-defined]

    with pytest.raises(RuntimeError, match="drawing"), Transaction() as files:
        files.write_beside(files.open(tmp_path / "a.npy"), LARGE, slowly)
        raise RuntimeError("drawing")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
