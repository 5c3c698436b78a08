"""info and show say what a table of vectors holds and how it was made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

KINDS = [".csv", ".jsonl", ".npy", ".npz", ".parquet"]


@pytest.fixture
def vectors(workspace):
    Path("in/cats").mkdir(parents=True)
    for name, values in {"a": [1, 2.5], "b": [np.nan, 0]}.items():
        np.save(f"in/cats/{name}.npy", np.array(values, np.float32))
    return "in"


@pytest.mark.parametrize("kind", KINDS)
def test_info_says_how_a_table_was_made(kind, vectors, inline):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    inline("run", "abs", vectors, "-o", f"t{kind}", "--label-from", "folder")
    text = inline("info", f"t{kind}").stdout
    assert "2, with key, file, label" in text
    assert "2 values of float32" in text
    assert "made by  abs" in text
    assert "NaN      in cats/b" in text
    about = json.loads(inline("info", f"t{kind}", "--json").stdout)
    assert about["rows"] == 2
    assert about["classes"] == ["cats"]
    assert about["made"]["pipeline"] == "abs"
    assert about["vectors"]["features"]["nan_rows"] == ["cats/b"]


def test_info_names_what_was_done_to_the_vectors_afterwards(vectors, inline):
    Path("in/cats/b.npy").unlink()
    for name in "cd":
        np.save(f"in/cats/{name}.npy", np.array([ord(name), 1], np.float32))
    inline("run", "abs", vectors, "-o", "t.npz")
    inline("convert", "t.npz", "-o", "u.csv", "--pca", "1", "--l2")
    assert "1 values of float32, then pca 1, then l2" in inline("info", "u.csv").stdout


def test_show_writes_the_first_rows(vectors, inline):
    inline("run", "abs", vectors, "-o", "t.jsonl", "--label-from", "folder")
    assert inline("show", "t.jsonl").stdout.splitlines() == [
        "cats/a  cats  1 2.5",
        "cats/b  cats  nan 0",
    ]


def test_a_table_that_is_none_is_refused(workspace, inline):
    Path("t.csv").write_text("key,x\na,one\n")
    assert_refused(inline("info", "t.csv"), 1, "t.csv")
    assert_refused(inline("show", "t.csv"), 1, "t.csv")
