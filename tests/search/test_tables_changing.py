"""Tables that change while they are read, and tables larger than memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import portable
import pytest
from conftest import assert_refused, environment

from featcli.errors import FeatError
from featcli.io import rowtables, vectortables
from featcli.io.vectortables import open_table
from featcli.search.metrics import Table
from featcli.search.neighbors import neighbors

resource = portable.module("resource")

KINDS = [".csv", ".jsonl", ".npy", ".npz", ".parquet"]


@pytest.fixture
def vectors(workspace):
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    keys = np.array([f"k{number}" for number in range(50)])
    np.savez("t.npz", keys=keys, features=rows)
    np.save("t.npy", rows)
    return rows


@pytest.mark.parametrize("name", ["t.npz", "t.npy"])
@pytest.mark.parametrize("change", ["shorter", "other"])
def test_a_mapped_table_that_changes_is_refused_when_it_is_read_on(name, change, vectors):
    table = open_table(Path(name))
    known = Table(table.vectors["features"], "cosine")
    if change == "shorter":
        os.truncate(name, 200)
    else:
        Path(name).write_bytes(b"x" * Path(name).stat().st_size)
        os.utime(name, (1, 1))
    with pytest.raises(FeatError, match="changed while it was read"):
        list(neighbors(known, known, 3))


def test_a_table_that_is_replaced_as_a_whole_is_read_on(vectors):
    table = open_table(Path("t.npz"))
    np.savez("new.npz", keys=np.array(["a"]), features=vectors[:1])
    Path("new.npz").replace("t.npz")
    np.testing.assert_array_equal(table.vectors["features"], vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_grows_while_it_is_opened_is_one_line(kind, vectors, inline, monkeypatch):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    assert inline("convert", "t.npz", "-o", f"in{kind}").returncode == 0
    read = vectortables._KINDS[kind]

    def slow(path, types):
        found = read(path, types)
        with path.open("ab") as stream:
            stream.write(b"more")
        return found

    monkeypatch.setitem(vectortables._KINDS, kind, slow)
    done = inline("neighbors", "k1", "--in", f"in{kind}")
    assert_refused(done, 1, "changed while it was read")


def test_a_table_that_changes_during_a_search_is_one_line(vectors, inline, monkeypatch):
    work = vectortables.VectorTable.column

    def after(self, name=""):
        os.truncate("t.npz", 300)
        return work(self, name)

    monkeypatch.setattr(vectortables.VectorTable, "column", after)
    for command in (["neighbors", "k1", "--in", "t.npz"], ["duplicates", "t.npz"]):
        np.savez("t.npz", keys=np.array([f"k{n}" for n in range(50)]), features=vectors)
        assert_refused(inline(*command), 1, "changed while it was read")


def limited(size):
    """Bound the memory that a process takes for itself; what is mapped from a file is not of it."""
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count mapped files, too")
@pytest.mark.parametrize("command", [
    ["neighbors", "7", "--in", "large.npy", "-n", "2", "--json"],
    ["convert", "large.npy", "-o", "few.npy", "--pca", "2"],
])  # fmt: skip
def test_a_table_may_be_larger_than_memory(command, workspace):
    rows = np.lib.format.open_memmap("large.npy", "w+", np.float32, (125_000, 1024))  # 512 MB
    rows[7, :3], rows[100_000, :3] = (1, 2, 3), (1, 2, 3.1)
    rows.flush()
    del rows
    done = subprocess.run(
        [sys.executable, "-m", "featcli", *command], preexec_fn=limited(400 << 20),
        capture_output=True, text=True, timeout=300, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if command[0] == "neighbors":
        assert json.loads(done.stdout.splitlines()[0])["key"] == "100000"
    else:
        assert np.load("few.npy", mmap_mode="r").shape == (125_000, 2)


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_a_table_of_rows_is_read_in_parts(kind, vectors, inline, monkeypatch):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    assert inline("convert", "t.npz", "-o", f"in{kind}").returncode == 0
    pieces = []
    write = rowtables.Matrix.write
    monkeypatch.setattr(
        rowtables.Matrix, "write", lambda self, data: (pieces.append(len(data)), write(self, data))
    )
    found = open_table(Path(f"in{kind}")).vectors["features"]
    np.testing.assert_array_equal(np.asarray(found, np.float32), vectors)
    assert isinstance(found, np.memmap)
    assert max(pieces) < vectors.nbytes or kind == ".parquet"
