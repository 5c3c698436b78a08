"""The .npy and .npz formats: what is written comes back, and a lie costs nothing."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli import npy
from featcli.errors import ReadError

TYPES = [
    np.dtype(order + name)
    for name in ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
    for order in "<>"
]


def saved(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def written(array) -> bytes:
    stream = io.BytesIO()
    npy.write(stream, array)
    return stream.getvalue()


def read(data: bytes):
    return npy.read(io.BytesIO(data), len(data))


def with_header(text: str | bytes, data: bytes = b"", version: int = 1, length=None) -> bytes:
    """A .npy file with any header, true or not."""
    raw = text.encode("latin-1") if isinstance(text, str) else text
    code = "<H" if version == 1 else "<I"
    size = struct.pack(code, len(raw) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + raw + data


def of_shape(shape: str, descr: str = "'<f8'", data: bytes = b"", order: str = "False") -> bytes:
    return with_header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n", data)


ARRAYS = hnp.arrays(st.sampled_from(TYPES), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))


@given(ARRAYS, st.sampled_from("CF"))
def test_any_array_comes_back_in_native_order(array, order):
    array = np.asarray(array, order=order)
    found = read(saved(array))
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@given(hnp.arrays(st.sampled_from(TYPES), hnp.array_shapes(max_dims=3)))
def test_numpy_reads_what_is_written_and_equal_arrays_give_equal_bytes(array):
    found = np.load(io.BytesIO(written(array)), allow_pickle=False)
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")
    assert written(np.asfortranarray(array)) == written(array)
    assert written(np.repeat(array, 2, axis=0)[::2]) == written(array)


def test_version_two_is_read_too():
    array = np.arange(6.0)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(2, 0))
    assert np.array_equal(read(stream.getvalue()), array)


def test_a_header_that_python_2_wrote_is_read_without_a_warning():
    assert read(of_shape("(2L, 1L)", data=bytes(16))).shape == (2, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.array([None, {}], dtype=object),
        np.zeros(2, dtype="f4, i2"),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.zeros(2, np.complex64),
        np.zeros(2, np.longdouble),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "m8[s]"),
        np.zeros(2, "V4"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_a_type_that_holds_no_numbers_is_refused_by_its_name(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    with pytest.raises(ReadError, match="not integers or floats of up to 64 bits"):
        read(stream.getvalue())


LIES = {
    "too large": of_shape("(3,)", data=bytes(16)),
    "too small": of_shape("(1,)", data=bytes(16)),
    "negative": of_shape("(-1,)", data=bytes(8)),
    "negative twice": of_shape("(-1, -1)", data=bytes(8)),
    "huge product": of_shape("(4294967296, 4294967296, 4294967296)"),
    "wraps round to nothing": of_shape("(4294967296, 4294967296)"),
    "nothing times too much": of_shape("(0, 99999999999999999999999)"),
    "a number of 5000 digits": of_shape("(" + "9" * 5000 + ",)"),
    "no whole number": of_shape("(1.0,)", data=bytes(8)),
    "no tuple": of_shape("1", data=bytes(8)),
    "a hundred axes": of_shape("(" + "1," * 100 + ")", data=bytes(8)),
    "order that is no boolean": of_shape("(1,)", order="1", data=bytes(8)),
    "an unknown type": of_shape("(1,)", descr="'<q9'", data=bytes(8)),
    "a type that is no text": of_shape("(1,)", descr="7", data=bytes(8)),
    "a type of nested lists": of_shape("(1,)", descr="[('a', [('b', '<f8')])]", data=bytes(8)),
    "a type with a shape": of_shape("(1,)", descr="('<f8', (99999999,))", data=bytes(8)),
    "elements of no size": of_shape("(5,)", descr="'<V0'"),
    "a call": of_shape("(1,)", descr="__import__('os').system('false')", data=bytes(8)),
    "no literal": with_header("{'descr': ["),
    "no dictionary": with_header("[1, 2]\n"),
    "a key too few": with_header("{'descr': '<f8', 'shape': (1,)}\n", bytes(8)),
    "a key too many": with_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}\n", bytes(8)
    ),
    "deep nesting": with_header("(" * 9000 + ")" * 900),
    "deep arithmetic": with_header("-" * 9000 + "1"),
    "bytes that are no text": with_header(b"\xff\0\xfe" * 20),
    "an open string": with_header("{'descr': '''"),
    "an odd escape": with_header("{'descr': '\\d', 'fortran_order': False, 'shape': (1L,)}"),
    "a long header": with_header(" " * 20_000, version=2),
    "a header of 4 GiB": with_header("{}", version=2, length=2**32 - 1),
    "a header cut off": with_header("{'descr'", length=100),
    "version 3": with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", version=3),
    "version 0": b"\x93NUMPY\0\0" + bytes(20),
    "nothing more": b"\x93NUMPY\1\0",
    "no .npy": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused(lie):
    with pytest.raises(ReadError):
        read(LIES[lie])


def test_78_bytes_that_ask_for_32_gib_cost_next_to_nothing():
    data = of_shape("(4294967296,)")
    assert len(data) <= 78
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match="declares 34359738368 bytes, 0 follow"):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_size_that_lies_as_well_is_noticed_when_the_bytes_are_missing():
    data = of_shape("(1000,)")
    with pytest.raises(ReadError, match="truncated: its header declares 8000 bytes, 0 follow"):
        npy.read(io.BytesIO(data), len(data) + 8000)


@given(st.data())
@settings(max_examples=500)
def test_damaged_bytes_give_an_array_or_a_read_error(draw):
    data = bytearray(saved(np.arange(6, dtype=np.int16).reshape(2, 3)))
    for _ in range(draw.draw(st.integers(1, 5))):
        place = draw.draw(st.integers(0, 90) | st.integers(0, len(data) - 1))
        data[place] = draw.draw(st.integers(0, 255))
    data = data[: draw.draw(st.integers(0, len(data)) | st.just(len(data)))]
    try:
        assert read(bytes(data)).nbytes <= 12
    except ReadError as error:
        assert "\n" not in str(error)


@given(st.text(st.characters(max_codepoint=255), max_size=80), st.binary(max_size=20))
@settings(max_examples=300)
def test_any_text_as_header_gives_an_array_or_a_read_error(text, data):
    for version in (1, 2):
        try:
            assert read(with_header(text, data, version)).nbytes == len(data)
        except ReadError:
            continue


def test_the_bytes_behind_the_array_are_not_ignored():
    with pytest.raises(ReadError, match="declares 8 bytes, "):
        read(saved(np.zeros(1)) + b"x")


# Archives


def archive_of(*entries: tuple[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return stream.getvalue()


def load_archive(data: bytes, **choices):
    return npy.load_archive(io.BytesIO(data), **choices)


@given(st.dictionaries(st.text("abc./ é日", min_size=1, max_size=8), ARRAYS, max_size=4))
@settings(max_examples=50)
def test_an_archive_gives_every_array_by_its_name(arrays):
    stream = io.BytesIO()
    writer = npy.ArchiveWriter(stream)
    for name, array in arrays.items():
        writer.write(name, np.atleast_1d(array))
    writer.close()
    found = load_archive(stream.getvalue())
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        expected = np.atleast_1d(array).astype(array.dtype.newbyteorder("="))
        assert found[name].shape == expected.shape
        assert found[name].tobytes() == expected.tobytes()


def test_what_numpy_compresses_is_read():
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(5), b=np.zeros((2, 2), np.float32))
    found = load_archive(stream.getvalue())
    assert found["a"].tolist() == [0, 1, 2, 3, 4]
    assert found["b"].shape == (2, 2)


def test_equal_arrays_make_equal_archives():
    def archive():
        stream = io.BytesIO()
        writer = npy.ArchiveWriter(stream)
        writer.write("a", np.arange(5))
        writer.close()
        return stream.getvalue()

    assert archive() == archive()


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"PK\5\6" + bytes(10), b"hello" * 100])
def test_what_is_no_zip_is_refused(data):
    with pytest.raises(ReadError, match=r"not a valid \.npz file"):
        load_archive(data)


@pytest.mark.parametrize("cut", [1, 10, 50, 200])
def test_an_archive_that_is_cut_off_is_refused(cut):
    data = archive_of(("a.npy", saved(np.arange(100))))
    with pytest.raises(ReadError):
        load_archive(data[:-cut])


def test_an_encrypted_archive_is_refused():
    data = bytearray(archive_of(("a.npy", saved(np.arange(5)))))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flags] |= 1
    with pytest.raises(ReadError, match="encrypted"):
        load_archive(bytes(data))


def test_a_damaged_value_is_noticed_by_its_checksum():
    data = bytearray(archive_of(("a.npy", saved(np.arange(99))), compression=zipfile.ZIP_STORED))
    data[400] ^= 1
    with pytest.raises(ReadError, match="CRC"):
        load_archive(bytes(data))


def test_a_bomb_is_refused_before_it_goes_off():
    data = archive_of(*((f"{k}.npy", bytes(1 << 20)) for k in range(20)))
    assert len(data) < 1 << 16
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match="its arrays take 21 MB"):
            load_archive(data, most=10 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_entry_that_understates_its_size_is_refused():
    zeros = saved(np.zeros(1 << 17))
    data = bytearray(archive_of(("a.npy", zeros)))
    size = struct.pack("<I", len(zeros))
    assert data.count(size) == 2
    lie = data.replace(size, struct.pack("<I", 200))
    with pytest.raises(ReadError):
        load_archive(bytes(lie))


def test_names_that_lead_elsewhere_are_names_and_nothing_more(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    data = archive_of(("../../x.npy", saved(np.arange(3))), ("/etc/y.npy", saved(np.arange(2))))
    assert sorted(load_archive(data)) == ["../../x", "/etc/y"]
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_for_two_arrays_is_refused():
    data = archive_of(("a.npy", saved(np.arange(3))), ("a.npy", saved(np.arange(2))))
    with pytest.raises(ReadError, match="two of its arrays have the same name"):
        load_archive(data)


def test_the_entry_that_is_broken_is_named_and_other_files_are_passed_over():
    whole = ("whole.npy", saved(np.arange(3)))
    assert list(load_archive(archive_of(whole, ("notes.txt", b"hello")))) == ["whole"]
    with pytest.raises(ReadError, match=r"broken\.npy: not a \.npy file"):
        load_archive(archive_of(whole, ("broken.npy", b"hello")))


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_archive_gives_arrays_or_a_read_error(draw):
    data = bytearray(archive_of(("a.npy", saved(np.arange(20)))))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        load_archive(bytes(data))
    except ReadError as error:
        assert str(error)


def test_a_shape_of_truth_values_is_refused(tmp_path):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 4)}".ljust(117) + "\n"
    path = tmp_path / "m.npy"
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)
    )
    with pytest.raises(ReadError, match="declares the shape"):
        npy.load(path)
