"""Tables: all five kinds hold the same numbers, in types that widen, under keys of their own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from featcli.io.columns import Columns, describe, pack, spelled, unpack, unspelled
from featcli.io.tables import TEXTS, Rows, write_table

KINDS = [".csv", ".jsonl", ".npy", ".npz", ".parquet"]
TYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def written(kind: str, arrays: list, path: Path) -> tuple[Columns, list]:
    """Write arrays as the rows of a table; return its columns and what was said of each row."""
    rows = [{"key": f"k{number}", "features": one} for number, one in enumerate(arrays)]
    described = [describe(row, {}) for row in rows]
    columns = Columns.of(described)
    with path.open("wb") as stream:
        write_table(kind, stream, Rows(lambda: iter(rows), len(rows), columns))
    return columns


def numbers_in(path: Path) -> np.ndarray:
    """Read a table as others do."""
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            head, *rows = csv.reader(stream)
            first = sum(name in TEXTS for name in head)
            return np.array([row[first:] for row in rows]).astype(float)
    if path.suffix == ".jsonl":
        return np.array([json.loads(one)["features"] for one in path.read_text().splitlines()])
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return np.array(parquet.read_table(path)["features"].to_pylist())
    found = np.load(path)
    return found if path.suffix == ".npy" else found["features"]


def skip_without(kind: str) -> None:
    if kind == ".parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")


def vectors_of(type: str) -> st.SearchStrategy[np.ndarray]:
    safe = {"min_value": 0 if type[0] == "u" else -(1 << 53), "max_value": 1 << 53}
    elements = {"allow_nan": False, "allow_infinity": False} if type[0] == "f" else None
    if type in ("u8", "i8"):
        elements = safe
    return hnp.arrays(np.dtype(type), 3, elements=elements)


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.lists(st.sampled_from(TYPES).flatmap(vectors_of), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_table_holds_every_value_of_every_row(kind, rows, tmp_path_factory):
    skip_without(kind)
    path = tmp_path_factory.mktemp("t") / f"t{kind}"
    columns = written(kind, rows, path)
    wide = np.dtype(columns.found["features"].type)
    assert np.array_equal(
        numbers_in(path).astype(wide), np.array([row.astype(wide) for row in rows])
    )
    for row in rows:
        assert np.array_equal(row.astype(wide).astype(row.dtype), row)


@pytest.mark.parametrize("pair", [("u1", "u2", 700), ("u1", "f4", 0.5), ("f4", "f8", 1e300)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wider_row_after_a_narrow_one_keeps_its_values(kind, pair, tmp_path):
    skip_without(kind)
    narrow, wide, value = pair
    rows = [np.array([1, 2], narrow)] * 1030 + [np.array([value, 0], wide)]
    written(kind, rows, tmp_path / f"t{kind}")
    found = numbers_in(tmp_path / f"t{kind}")
    assert found.shape == (1031, 2)
    assert found[0].tolist() == [1, 2]
    assert found[-1].tolist() == [value, 0]


def columns_of(*values: object) -> Columns:
    return Columns.of(describe({"key": "k", "features": one}, {}) for one in values)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (np.zeros(64, "u1"), np.zeros(192, "u1"), "192 values, and the rows before it 64, as pic"),
        (np.zeros(192, "u1"), np.zeros(64, "u1"), "64 values.* 192, as pictures of 1 and of 3 cha"),
        (np.zeros(5, "u1"), np.zeros(7, "u1"), "7 values, and the rows before it 5: bring all to"),
        (np.array([2**60 + 1]), np.array([0.5]), "more than a float64 holds exactly"),
        (np.array([2**63], "u8"), np.array([-1]), "more than a float64 holds exactly"),
        ("tabby", 1.5, "text and numbers"),
        (np.zeros(1), 1.5, "one value"),
    ],
)
def test_a_row_that_fits_no_column_is_refused_with_the_reason(first, second, reason):
    with pytest.raises(ValueError, match=reason):
        columns_of(first, second)
    with pytest.raises(ValueError):
        columns_of(second, first)


def test_a_refused_row_leaves_the_columns_as_they_were():
    columns = columns_of(np.zeros(3, "u1"))
    before = dict(columns.found)
    with pytest.raises(ValueError):
        columns.add(describe({"key": "k", "features": np.zeros(4)}, {}))
    with pytest.raises(ValueError, match="another version"):
        columns.add(7)
    assert columns.found == before


def test_a_packed_row_is_plain_json_and_comes_back_exactly():
    row = {"key": "k\udcff", "features": np.array([1e-45, np.nan], "f4"), "n": 3, "label": "x"}
    found = unpack(json.loads(json.dumps(pack(row))))
    assert found.pop("features").tobytes() == row.pop("features").tobytes()
    assert found == row


def as_the_system_says(text: str) -> str:
    """A name as it is read from a folder: bytes that are UTF-8 together are no surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


PIECES = st.sampled_from([*"\\x5cf0a9é中", "\\xff", "\\x5c", "\udcff", "\udc80"])
NAMES = st.lists(PIECES).map(lambda pieces: as_the_system_says("".join(pieces)))


@given(name=NAMES)
def test_a_name_is_spelled_in_utf_8_and_read_back(name):
    text = spelled(name)
    assert text.encode().decode() == text
    assert unspelled(text) == name  # so no two names are spelled alike


@pytest.mark.parametrize(("name", "text"), [("a\udcff", "a\\xff"), ("a\\xff", "a\\x5cxff")])
def test_a_byte_and_its_spelling_are_two_keys(name, text):
    assert spelled(name) == text
    assert spelled("a\\b") == "a\\b"


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_bytes_and_of_their_spelling_stay_two(kind, workspace, inline):
    skip_without(kind)
    Path("k").mkdir()
    for name in (b"k/a\xff.npy", b"k/a\\xff.npy"):
        stream = io.BytesIO()
        np.save(stream, np.arange(2))
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(stream.getvalue())
    table = f"t{kind}"
    assert inline("flatten", "k", "-o", table, "-q").returncode == 1  # a vector is flat already
    assert inline("abs", "k", "-o", table, "-q").returncode == 0
    assert sorted(keys_in(Path(table))) == ["a\\x5cxff", "a\\xff"]


def keys_in(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return [row[0] for row in list(csv.reader(path.read_text("utf-8").splitlines()))[1:]]
    if path.suffix == ".jsonl":
        return [json.loads(line)["key"] for line in path.read_text("utf-8").splitlines()]
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path)["key"].to_pylist()
    if path.suffix == ".npz":
        return np.load(path)["keys"].tolist()
    return json.loads(path.with_suffix(".json").read_text("utf-8"))["keys"]


def test_a_line_of_json_holds_null_for_what_is_no_number_and_says_so(workspace, inline):
    np.save("a.npy", np.array([1, np.nan, np.inf, -np.inf]))
    done = inline("abs", "a.npy", "-o", "t.jsonl")
    assert done.returncode == 0
    assert "a.npy: 3 of its values are NaN or infinite" in done.stderr

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    line = json.loads(Path("t.jsonl").read_text(), parse_constant=refuse)
    assert line["features"] == [1, None, None, None]


def save_gray_and_colour() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
    Image.fromarray(np.full((8, 8), 3, np.uint8)).save("a/gray.png")
    Image.fromarray(np.full((8, 8, 3), 3, np.uint8)).save("b/rgb.png")


def test_gray_and_colour_in_one_table_get_the_advice_that_helps(workspace, inline):
    save_gray_and_colour()
    done = inline("run", "resize 8x8 | flatten", "a/gray.png", "b/rgb.png", "-o", "t.csv")
    assert done.returncode == 1
    assert "b/rgb.png: gives 192 values, and the rows before it 64" in done.stderr
    assert "3 and of 1 channels" in done.stderr
    for stage, size in (("gray", 64), ("rgb", 192)):
        done = inline("run", f"{stage} | flatten", "a/gray.png", "b/rgb.png", "-o", f"{stage}.npy")
        assert done.returncode == 0
        assert np.load(f"{stage}.npy").shape == (2, size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_shrinks_to_narrow_rows_is_that_of_a_clean_run(kind, workspace, inline):
    skip_without(kind)
    Path("in").mkdir()
    for name, type in (("a", "u1"), ("b", "u1"), ("c", "f8")):
        np.save(f"in/{name}.npy", np.array([1, 2, 3], type))
    Path("in/d.npy").write_bytes(Path("in/a.npy").read_bytes())
    command = ["abs", "in", "-q", "-o"]
    assert inline(*command, f"t{kind}").returncode == 0
    Path("in/c.npy").unlink()
    assert inline(*command, f"t{kind}").returncode == 0
    assert inline(*command, f"clean{kind}").returncode == 0
    assert Path(f"t{kind}").read_bytes() == Path(f"clean{kind}").read_bytes()


def test_vectors_of_a_folder_make_a_table_of_every_kind(workspace, inline):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    Path("in").mkdir()
    for number in range(3):
        np.save(f"in/{number}.npy", np.array([-number, 0.5]))
    for kind in KINDS:
        assert inline("abs", "in", "-o", f"t{kind}").returncode == 0
        assert numbers_in(Path(f"t{kind}")).tolist() == [[0, 0.5], [1, 0.5], [2, 0.5]]


def test_maps_of_a_folder_stay_arrays_by_key_in_an_npz(workspace, inline):
    save_gray_and_colour()
    assert inline("relu", "a", "b", "-o", "m.npz").returncode == 0
    assert sorted(np.load("m.npz").files) == ["a/gray", "b/rgb"]
    assert_refused(inline("relu", "a", "b", "-o", "m.npy"), 2, "holds one result")


def test_texts_that_look_like_formulas_get_an_apostrophe_where_that_is_asked_for(workspace, inline):
    from PIL import Image

    Path("in").mkdir()
    for name in ("=1+1", "+1", "-1", "@a", "plain"):
        Image.new("L", (2, 1)).save(f"in/{name}.png")
    for options, mark in ((), ""), (("--csv-safe",), "'"):
        assert inline("flatten", "in", "-o", "t.csv", *options).returncode == 0
        with Path("t.csv").open(newline="") as stream:
            keys = {row[0] for row in list(csv.reader(stream))[1:]}
        assert keys == {f"{mark}=1+1", f"{mark}+1", f"{mark}-1", f"{mark}@a", "plain"}
    assert inline("flatten", "in", "-o", "t.npz", "--csv-safe").returncode == 2


def rows_in(path: str) -> dict[str, str]:
    """Return the mean of each row of a table by the row's key; each key stands once."""
    with Path(path).open(newline="") as stream:
        rows = [(row["key"], row["file"], row["R"]) for row in csv.DictReader(stream)]
    assert len({key for key, *_ in rows}) == len(rows)
    return {key: (file, mean) for key, file, mean in rows}


MEANS = "rgb | pool --global --kind mean | flatten"


def test_rows_of_an_image_and_of_an_array_made_from_it_have_keys_of_their_own(workspace, inline):
    assert inline("relu", "small.png").returncode == 0
    assert inline("gray", "small.png").returncode == 0
    alone = inline("run", MEANS, "small.gray.npy", "-o", "alone.csv")
    assert alone.returncode == 0, alone.stderr
    assert [*rows_in("alone.csv")] == ["small"]
    together = ("run", MEANS, "small.png", "small.relu.npy", "small.gray.npy", "-o", "t.csv")
    assert inline(*together).returncode == 0
    assert [*rows_in("t.csv")] == ["small", "small.relu", "small.gray"]
    assert rows_in("t.csv")["small.gray"] == rows_in("alone.csv")["small"]
    assert rows_in("t.csv")["small"] == rows_in("t.csv")["small.relu"] != rows_in("alone.csv")
    assert "0 done, 3 skipped" in inline(*together).stderr
    assert inline("run", MEANS, "small.gray.npy", "-o", "t.csv").returncode == 0
    assert rows_in("t.csv") == rows_in("alone.csv")
    Path("x").mkdir()
    Path("x/small.png").write_bytes(Path("gray.png").read_bytes())
    twice = inline("run", MEANS, "small.png", "x/small.png", "-o", "u.csv")
    assert_refused(twice, 2, "two inputs would be called small")


def test_a_folder_of_results_of_two_recipes_gives_a_row_for_each(workspace, inline):
    for stage in ("relu", "gray"):
        assert inline(stage, "small.png", "gray.png", "-o", "maps/").returncode == 0
    assert inline("run", MEANS, "maps", "-o", "t.csv").returncode == 0
    assert [*rows_in("t.csv")] == ["gray.gray", "gray.relu", "small.gray", "small.relu"]
