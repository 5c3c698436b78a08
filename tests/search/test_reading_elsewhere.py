"""Other libraries read the tables by the lines that docs/search.md shows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pages
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"
BLOCKS = [one for one in pages.blocks(PAGE.read_text("utf-8")) if one.kind == "python"]
KINDS = ("csv", "jsonl", "npy", "npz", "parquet")
LIBRARIES = ("pandas", "polars", "duckdb", "pyarrow", "sklearn")


@pytest.fixture
def tables(workspace, inline):
    """Tables of every kind, of three arrays; returns their vectors."""
    rng = np.random.default_rng(5)
    arrays = rng.normal(size=(3, 12)).astype(np.float32)
    Path("in").mkdir()
    for name, array in zip("abc", arrays, strict=True):
        np.save(f"in/{name}.npy", array)
    for kind in KINDS:
        assert inline("run", "abs", "in", "-o", f"f.{kind}").returncode == 0
    return np.abs(arrays)


def test_the_page_reads_each_kind_and_by_each_library():
    everything = "".join(one.code for one in BLOCKS)
    for kind in KINDS:
        assert f'f.{kind}"' in everything or f"'f.{kind}'" in everything, kind
    for name in (*LIBRARIES, "numpy"):
        assert re.search(rf"(import|from) {name}\b", everything), name


@pytest.mark.parametrize("block", BLOCKS, ids=lambda one: f"line-{one.line}")
def test_the_lines_of_the_page_read_the_vectors_that_were_written(block, request):
    for name in block.needed:
        pytest.importorskip(name)
    expected = request.getfixturevalue("tables")
    found = {}
    exec(compile(block.code, str(PAGE), "exec"), found)
    np.testing.assert_array_equal(np.asarray(found["vectors"], np.float32), expected)
    if "about" in found:
        assert found["about"]["pipeline"] == "abs"
        assert found["about"]["dimension"] == {"features": 12}
    if "rows" in found and "distances" in found:
        assert found["rows"][:, 0].tolist() == [0, 1, 2]
