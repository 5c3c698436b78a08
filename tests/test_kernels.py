"""Kernels from text, arrays and files: what comes back is what was meant."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli import kernels
from featcli.errors import FeatError
from featcli.kernels import Kernel, parse
from featcli.matrices import SUFFIXES

LABEL = re.compile(r"[A-Za-z0-9_+=-]+")
finite = st.floats(allow_nan=False, allow_infinity=False)
matrices = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=finite
)


def values(name: str) -> np.ndarray:
    return parse(name).values


# --- Numbers as text


def test_numbers_may_be_separated_by_blanks_or_commas_and_be_fractions():
    expected = [[-1, 0.5], [1 / 9, 2000]]
    for text in (
        "-1 .5; 1/9 2e3",
        "-1,+0.5;1/9,2000",
        "-1, 0.5\n1/9, 2000.\n",
        " -1 .5 ;\n1/9 2e3; ",
    ):
        assert parse(text).values.tolist() == expected


def test_an_unlabelled_kernel_is_labelled_by_its_values():
    kernel = parse("-1 0 1; -1 0 1; -1 0 1")
    assert re.fullmatch(r"custom-[0-9a-f]{6}", kernel.label)
    assert kernel.text == "-1 0 1; -1 0 1; -1 0 1"
    assert parse("-1.0,-0,1;-1,0,1e0;-1,0,1") == kernel
    assert parse("-1 0 1; -1 0 1; -1 0 2").label != kernel.label


def test_a_label_stands_before_the_numbers():
    kernel = parse("edge=-1 0 1; -1 0 1")
    assert (kernel.label, kernel.text) == ("edge", "edge=-1 0 1; -1 0 1")
    assert parse("a=b=1 2").label == "a=b"


@given(matrices, st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_+=-]{0,9}", fullmatch=True) | st.just(""))
def test_a_kernel_survives_its_text_exactly(matrix, label):
    kernel = kernels.of(matrix, label)
    again = parse(kernel.text)
    assert again == kernel
    assert again.values.tobytes() == (matrix + 0.0).tobytes()
    assert LABEL.fullmatch(kernel.label)


@given(st.text(max_size=30) | st.text("0123456789 ;,.-+/=e:xbosigma", max_size=30))
def test_any_text_is_a_kernel_or_one_line_of_refusal(text):
    try:
        kernel = parse(text)
    except ValueError as error:
        assert str(error) and len(str(error).splitlines()) == 1
    else:
        assert parse(kernel.text) == kernel


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vertcal", "unknown kernel 'vertcal': did you mean vertical? (see 'featcli kernels')"),
        ("Sobel-X", "did you mean sobel-x"),
        ("qqqq", "unknown kernel 'qqqq' (see 'featcli kernels')"),
        ("gausian:sigma=2", "unknown kernel 'gausian': did you mean gaussian"),
        ("vertical, horizontal", "names several kernels"),
        ("", "row 1 of the kernel is empty"),
        ("edge=", "row 1 of the kernel is empty"),
        ("1 2; 3", "row 2 of the kernel has length 1, but row 1 has length 2"),
        ("1 2;;3 4", "row 2 of the kernel is empty"),
        ("1 nan; 2 3", "row 1, value 2: 'nan' is not a number"),
        ("1 2; inf 3", "row 2, value 1: 'inf' is not a number"),
        ("1 2; 3 1e999", "row 2, value 2 is inf"),
        ("1 2; 3 four", "row 2, value 2: 'four' is not a number"),
        ("1_0 2", "'1_0' is not a number"),
        ("1,,2", "row 1, value 2: '' is not a number"),
        ("1/0", "divides by zero"),
        ("my edge=1 2", "the kernel label 'my edge' may only hold"),
        ("1 " * 1024, "at most 1023 x 1023 values, not 1 x 1024"),
        ("1;" * 1024, "at most 1023 x 1023 values, not 1024 x 1"),
        ("gaussian", "kernel 'gaussian': sigma is missing"),
        ("gaussian:sigma=0", "sigma must be a number from 0.1 to 1000, not 0"),
        ("gaussian:sigma=nan", "sigma: 'nan' is not a number"),
        ("gaussian:sigma=1e999", "not inf"),
        ("gaussian:sigma=2,size=8", "size must be odd"),
        ("gaussian:sigma=2,size=1025", "size must be a whole number from 1 to 1023"),
        ("gaussian:sigma=200", "needs 1601 x 1601 taps"),
        ("gaussian:sgma=2", "'sgma=2' sets no parameter"),
        ("gaussian:2,9", "'9' sets no parameter"),
        ("gaussian:2,sigma=3", "sigma is given twice"),
        ("gaussian:3x5", "sigma must be a number"),
        ("gabor:wavelength=1", "wavelength must be a number from 2 to 1000"),
        ("gabor:lambda=4,wavelength=5", "wavelength is given twice"),
        ("dog:1,k=1", "k must be a number from 1"),
        ("box:0", "size must be a whole number from 1 to 1023, not 0"),
        ("box:2.5", "size must be a whole number"),
        ("box:3x2000", "size must be a whole number"),
        ("motion:0", "length must be a number from 1 to 1000"),
        ("none.csv", "kernel file 'none.csv': no such file"),
        ("x" * 9000, "unknown kernel 'xxx"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250


# --- Arrays


def test_a_kernel_is_made_from_an_array():
    assert kernels.of(np.eye(2, dtype=bool), "eye").text == "eye=1 0; 0 1"
    assert kernels.of([[1, 2]], "").values.dtype == np.float64


@pytest.mark.parametrize(
    "wrong", [[1, 2], np.zeros((3, 0)), np.zeros((1, 1, 1)), [["a"]], [[1j]], [[np.nan]]]
)
def test_what_is_no_finite_table_of_numbers_is_refused(wrong):
    with pytest.raises(ValueError, match="kernel"):
        kernels.of(wrong)


def test_a_kernel_is_read_only_and_survives_pickling():
    original = np.ones((2, 2))
    kernel = kernels.of(original, "ones")
    original[0, 0] = 5
    again = pickle.loads(pickle.dumps(kernel))
    assert kernel.values[0, 0] == 1
    assert again == kernel and hash(again) == hash(kernel)
    assert kernel != "ones" and kernel != Kernel("ones", kernel.text, np.zeros((2, 2)))
    for one in (kernel, again, parse("vertical")):
        assert not one.values.flags.writeable


# --- Files

ROWS = [[-1.0, 0.25, 3.0], [1e-300, 0.1, 123456789.0]]


def save(path: Path) -> Path:
    plain = "\n".join(",".join(map(repr, row)) for row in ROWS)
    contents = {
        ".toml": f"values = {ROWS}\n",
        ".json": json.dumps(ROWS),
        ".csv": "\ufeff# a comment\n\n" + plain + "  # the end\r\n",
        ".txt": plain.replace(",", "\t ") + "\n",
    }
    if path.suffix == ".npy":
        np.save(path, ROWS)
    else:
        path.write_text(contents[path.suffix], encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_becomes_a_kernel_by_value(tmp_path, suffix):
    path = save(tmp_path / f"my edge.v2{suffix}")
    kernel = parse(str(path))
    assert kernel.values.tolist() == ROWS
    assert kernel.label == "my_edge_v2"
    assert kernel.text == "my_edge_v2=-1 0.25 3; 1e-300 0.1 123456789"
    path.unlink()
    assert parse(kernel.text) == kernel


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "k.csv"
    path.write_text("1 2")
    assert parse(str(path)).values.tolist() == [[1, 2]]
    path.write_text("3 4")
    assert parse(str(path)).values.tolist() == [[3, 4]]


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_described_file_has_a_divisor_and_texts(tmp_path, suffix):
    about = {"title": "T", "values": [[1, 2]], "divisor": 4, "shows": "S", "citation": "C"}
    toml = "\n".join(f"{key} = {json.dumps(value)}" for key, value in about.items())
    path = tmp_path / f"half{suffix}"
    path.write_text(toml if suffix == ".toml" else json.dumps(about))
    kernel = parse(str(path))
    assert kernel.values.tolist() == [[0.25, 0.5]]
    assert (kernel.title, kernel.shows, kernel.citation) == ("T", "S", "C")
    assert kernel.text == "half=0.25 0.5"


def test_names_and_numbers_come_before_files_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("vertical", "5", "gaussian:sigma=2"):
        (tmp_path / name).write_text("1 2")
        assert parse(name).text == name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "1 2\n3\n", "row 2 of the kernel has length 1"),
        ("a.csv", "1;2;3\n", "'1;2;3': in a file each row is one line"),
        ("a.csv", "# nothing\n", "a kernel is a table of numbers"),
        ("a.txt", "1 nan\n", "'nan' is not a number"),
        ("a.txt", b"\xff\x80", "is not text in UTF-8"),
        ("a.json", "[[1, 2], [3]]", "row 2 of the kernel has length 1"),
        ("a.json", "[[1, NaN]]", "row 1, value 2 is nan"),
        ("a.json", "[[1, true]]", "row 1, value 2: 'True' is not a number"),
        ("a.json", "[[1" + "0" * 400 + "]]", "too large"),
        ("a.json", "[[1], 2]", "row 2 must be a list"),
        ("a.json", "[" * 100_000, "kernel file"),
        ("a.json", "{", "kernel file"),
        ("a.json", "[]", "a kernel is a table of numbers"),
        ("a.toml", "title = 'none'", "values must be a list"),
        ("a.toml", "values = [[1]]\ndivsor = 2", "unknown key 'divsor'"),
        ("a.toml", "values = [[1]]\ndivisor = 0", "divisor must be a finite number other than 0"),
        ("a.toml", "values = [[1e300]]\ndivisor = 1e-300", "row 1, value 1 is inf"),
        ("a.toml", "values = [[1]]\nsee_also = 'x'", "see_also is a list of texts"),
        ("a.toml", "values = [[1]]\ntitle = 3", "title, shows and citation are texts"),
        ("a.toml", "values = [[", "kernel file"),
        ("a.npy", b"\x93NUMPY", "kernel file"),
        ("a.dat", "1 2", "its name must end in one of .toml"),
        ("a.csv", "1 " * 2**21 + "1", "larger than 4.19 MB"),
        ("a.csv", "1 " * 2**20, "a row of 2097151 characters is too long for a kernel"),
        ("a.csv", "1\n" * 2**20, "at most 1023 x 1023 values"),
        ("a.toml", "#" * 2**21, "larger than 1.05 MB"),
        ("a.toml", ".".join("a" * 20_000) + " = 1", "a key of too many dotted parts for a kernel"),
        ("a.toml", " . ".join(["'a b'"] * 20_000) + " = 1", "a key of too many dotted parts"),
        ("a.toml", "[" + ".".join(['"a"'] * 20_000) + "]", "a key of too many dotted parts"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        parse(str(path))
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 2)), np.full((1, 1), np.inf)])
def test_a_npy_file_must_hold_a_finite_table(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"a\.npy"):
        parse(str(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.csv", b'"1","0"\r\n"-1","0"\r\n'),
        ("a.csv", "\ufeff1,0\n-1,0\n".encode()),
        ("a.csv", "1,0\n-1,0\n".encode("utf-16")),
        ("a.txt", b"'1' '0'\n-1 0"),
        ("a.json", "\ufeff[[1, 0], [-1, 0]]".encode()),
    ],
)
def test_what_spreadsheets_put_around_numbers_is_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert parse(str(tmp_path / name)).values.tolist() == [[1, 0], [-1, 0]]


@pytest.mark.parametrize("text", ["[1, 2, 3]", " [1 2 3] ", "[[1, 2, 3]]"])
def test_one_row_in_brackets_is_a_kernel_as_text_and_as_a_file(tmp_path, text):
    assert parse(text).values.tolist() == [[1, 2, 3]]
    if "," in text:
        (tmp_path / "a.json").write_text(text)
        (tmp_path / "a.toml").write_text(f"values = {text}")
        assert parse(str(tmp_path / "a.json")).values.tolist() == [[1, 2, 3]]
        assert parse(str(tmp_path / "a.toml")).values.tolist() == [[1, 2, 3]]


def test_prose_with_many_full_stops_is_no_deep_key(tmp_path):
    prose = "Prewitt, J. M. S. and A. B. C. D. E. F. G. H. Ltd. 1. 2. 3. See https://a.b.c.d.e/f"
    (tmp_path / "a.toml").write_text(f"values = [[1]]\ncitation = '{prose}'")
    assert parse(str(tmp_path / "a.toml")).citation == prose


def test_a_folder_is_no_kernel_file(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ValueError, match="is not a file"):
        parse(str(tmp_path / "a.csv"))


def test_missing_built_in_kernels_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "featcli" / "kernels.py"))
    with pytest.raises(FeatError, match="built-in kernels are neither in"):
        kernels._directory()


def test_the_kernels_inside_an_installed_package_come_first(tmp_path, monkeypatch):
    inside = tmp_path / "featcli" / "data" / "kernels"
    for place in (inside, tmp_path / "kernels"):
        place.mkdir(parents=True)
        (place / "vertical.toml").touch()
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "featcli" / "kernels.py"))
    assert kernels._directory() == inside


@pytest.mark.parametrize(
    "text",
    [
        "[[-1,0,1],[-1,0,1],[-1,0,1]]",
        "[[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]",
        str(np.array([[-1, 0, 1]] * 3)),
        "[[-1 0 1] [-1 0 1] [-1 0 1]]",
    ],
)
def test_the_notation_of_python_and_numpy_is_read_as_rows(text):
    assert parse(text) == parse("-1 0 1; -1 0 1; -1 0 1")
    np.testing.assert_array_equal(parse(text).values, parse("vertical").values)
    assert parse(f"mine={text}").label == "mine"


@pytest.mark.parametrize("text", ["[[1,2]", "[[1,2]]]", "[[1,2],[3]]", "[[]]", "[[1],2]"])
def test_brackets_that_are_no_matrix_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a number|equally long|is empty|unknown kernel"):
        parse(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("deep.json", "[" * 100_000, "is nested too deeply"),
        ("half.json", "[[", "is not valid JSON"),
        ("half.toml", "values = [[1, 2]", "is not valid TOML"),
        ("long.json", "[[1" + "0" * 5000 + "]]", "has a number with too many digits"),
    ],
)
def test_a_broken_kernel_file_is_described_in_featclis_words(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        parse(str(tmp_path / name))
