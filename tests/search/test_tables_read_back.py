"""Tables of vectors: read back exactly, from every kind; turned into each other; and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli.errors import FeatError
from featcli.io.vectortables import is_table, open_table
from featcli.search.reduction import Pca, UnitLength

KINDS = [".csv", ".jsonl", ".npy", ".npz", ".parquet"]


def skip_without(kind):
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")


@pytest.fixture
def table(workspace, inline):
    """A table of three images in two folders."""
    rng = np.random.default_rng(4)
    for name in ("cats/a", "cats/b", "dogs/c"):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        np.save(f"in/{name}.npy", rng.normal(size=12).astype(np.float32))
    inline("run", "abs", "in", "-o", "out/t.npz", "--label-from", "folder")
    return Path("out/t.npz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_any_kind_says_which_images_and_how_it_was_made(kind, table, inline):
    skip_without(kind)
    made = Path(f"out/direct{kind}")
    assert inline("run", "abs", "in", "-o", made, "--label-from", "folder").returncode == 0
    assert is_table(made)
    found = open_table(made)
    assert list(found.keys) == ["cats/a", "cats/b", "dogs/c"]
    assert list(found.texts["label"]) == ["cats", "cats", "dogs"]
    assert [found.file_of(row).is_file() for row in range(3)] == [True] * 3
    assert found.pipeline("features") == "abs"
    assert found.about["dimension"] == {"features": 12}
    vectors = found.vectors["features"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, open_table(table).vectors["features"])


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_a_table_turned_into_another_kind_and_back_is_the_same(first, second, table, inline):
    skip_without(first), skip_without(second)
    assert inline("convert", table, "-o", f"one{first}").returncode == 0
    assert inline("convert", f"one{first}", "-o", f"far/two{second}").returncode == 0
    assert inline("convert", f"far/two{second}", "-o", "out/back.npz").returncode == 0
    assert Path("out/back.npz").read_bytes() == table.read_bytes()


@settings(max_examples=30, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(4, 20), st.integers(1, 6)),
               elements=st.floats(-100, 100, width=32))
)  # fmt: skip
def test_all_principal_components_keep_the_distances(vectors):
    count = min(len(vectors) - 1, vectors.shape[1])
    pca = Pca.fit(vectors, count)
    again = Pca.from_json(json.loads(json.dumps(pca.to_json())))
    np.testing.assert_array_equal(again(vectors), pca(vectors))
    np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(count), atol=1e-4)
    if count == vectors.shape[1]:
        centred = vectors - vectors.mean(axis=0)
        lengths = np.linalg.norm(centred.astype(float), axis=1)
        np.testing.assert_allclose(np.linalg.norm(pca(vectors), axis=1), lengths, atol=1e-2)


def test_principal_components_are_those_of_a_decomposition():
    vectors = np.random.default_rng(1).normal(size=(50, 8)) * np.arange(1, 9)
    pca = Pca.fit(vectors.astype(np.float32), 3)
    *_, expected = np.linalg.svd(vectors - vectors.mean(axis=0))
    overlap = np.abs(np.sum(pca.components * expected[:3], axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-4)


def test_a_length_of_one_leaves_zeros():
    found = UnitLength()(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "key,x\na,1,2\n", "row 1 has 3 cells, the header has 2"),
        ("a.csv", "key,x\na,one\n", "row 1"),
        ("a.csv", "key,x\n", "it has no rows"),
        ("a.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("a.jsonl", '{"key": "a", "x": [1]}\n{"key": "b", "x": [1, 2]}\n', "2 values"),
        ("a.jsonl", '{"key": "a", "x": ["one"]}\n', "is not a number"),
        ("a.txt", "x", "a table is one of"),
        ("a.parquet", "PAR1", "not a valid Parquet file"),
        ("a.npy", "none", "a.npy"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(name, content, words, tmp_path):
    skip_without(Path(name).suffix)
    (tmp_path / name).write_text(content)
    with pytest.raises(FeatError, match=name) as caught:
        open_table(tmp_path / name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_columns_of_a_foreign_csv_are_one_vector(tmp_path):
    (tmp_path / "t.csv").write_text("key,red,green\na,1,2.5\nb,3,4\n")
    found = open_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(found.vectors["features"], [[1, 2.5], [3, 4]])
    assert found.about == {}


@pytest.mark.parametrize(
    ("dtype", "number", "words"),
    [
        ("|u1", "300", "row 1: 300 does not fit into uint8"),
        ("|u1", "-1", "row 1: -1 does not fit into uint8"),
        ("|u1", "1.5", "1.5"),
        ("<i2", "1e400", "inf|1e400"),
        ("<f2", "70000", "row 1: 70000.0 does not fit into float16"),
        ("<i8", "1" + 30 * "0", "row 1: a number does not fit into int64"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_number_that_the_type_of_its_vector_lacks_is_refused(
    kind, dtype, number, words, tmp_path
):
    """Neither cut off nor wrapped around; the type is in the table's metadata."""
    path = tmp_path / f"t.{kind}"
    lines = {"csv": f"key,v.0,v.1\na,1,{number}\n", "jsonl": f'{{"key":"a","v":[1,{number}]}}\n'}
    path.write_text(lines[kind])
    about = {"featcli": {"dtype": {"v": dtype}}}
    Path(f"{path}.json").write_text(json.dumps(about))
    with pytest.raises(FeatError, match=words):
        open_table(path)
    path.write_text(path.read_text().replace(number, "7"))
    np.testing.assert_array_equal(open_table(path).vectors["v"], [[1, 7]])


def test_an_empty_cell_of_a_csv_is_nan_and_a_text_is_refused_with_its_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("key,v.0,v.1\na,1,\nb,,2\n")
    np.testing.assert_array_equal(open_table(path).vectors["v"], [[1, np.nan], [np.nan, 2]])
    path.write_text("key,v.0,kind\na,1,cat\n")
    with pytest.raises(FeatError, match="row 1, column 'kind': 'cat' is not a number"):
        open_table(path)


def test_convert_refuses_what_cannot_be(table, inline):
    assert_refused(inline("convert", table), 2, "name the new table")
    assert_refused(inline("convert", table, "-o", table), 2, "is the input table")
    assert_refused(inline("convert", table, "-o", "x.tar"), 2, "name the new table")
    assert_refused(inline("convert", table, "-o", "x.csv", "--pca", "9"), 1, "at most 2")
    Path("x.csv").write_text("mine")
    assert_refused(inline("convert", table, "-o", "x.csv"), 2, "x.csv")
    assert Path("x.csv").read_text() == "mine"
    assert_refused(inline("convert", "none.npz", "-o", "y.csv"), 1, "none.npz")
