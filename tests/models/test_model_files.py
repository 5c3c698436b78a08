"""A model's file: equal bytes for equal models, and one line for whatever is wrong with one."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from conftest import assert_refused

import featcli as api
from featcli.errors import FeatError
from featcli.models import files
from featcli.models.files import ModelError

RECORD = {
    "name": "tiny",
    "pipeline": "dense 3 --name a | relu | dense 2 --name b | softmax",
    "input": [4],
    "preprocessing": "resize 2x2 | flatten",
    "channels": "gray",
    "labels": ["no", "yes"],
}


def weights(seed=0):
    random = np.random.default_rng(seed)
    shapes = {"a.weight": (4, 3), "a.bias": (3,), "b.weight": (3, 2), "b.bias": (2,)}
    return {name: random.normal(size=s).astype(np.float32) for name, s in shapes.items()}


def write(path, record=None, arrays=None, sign=True, compression=zipfile.ZIP_STORED, raw=None):
    """Write a model's file without any check; `raw` replaces the bytes of some arrays."""
    record, arrays = dict(record or RECORD), weights() if arrays is None else arrays
    if sign:
        record["sha256"] = files.digest(arrays)
    else:
        record["sha256"] = "0" * 64
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model.json", json.dumps(record))
        for name, array in arrays.items():
            data = io.BytesIO()
            np.save(data, array)
            archive.writestr(f"{name}.npy", (raw or {}).get(name, data.getvalue()))
    return path


def npy(array):
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def test_a_model_that_was_saved_loads_again(tmp_path):
    with (tmp_path / "m.npz").open("wb") as stream:
        files.save(stream, RECORD, weights())
    model = api.load_model(tmp_path / "m.npz")
    assert (model.name, model.labels) == ("tiny", ("no", "yes"))
    for name, array in weights().items():
        np.testing.assert_array_equal(model.weights[name], array)
    frame = model(np.full((5, 5), 9))
    assert frame.labels == ("no", "yes")
    np.testing.assert_allclose(frame.data.sum(), 1, rtol=1e-6)
    assert frame.history[-1].stage == "classify"


def test_equal_models_are_equal_bytes():
    first, second = io.BytesIO(), io.BytesIO()
    for stream in (first, second):
        files.save(stream, RECORD, weights())
    assert first.getvalue() == second.getvalue()


def test_weights_that_do_not_fit_are_not_saved():
    with pytest.raises(ValueError, match=r"a.bias has the shape \(4,\), not \(3,\)"):
        files.save(io.BytesIO(), RECORD, weights() | {"a.bias": np.zeros(4, np.float32)})


def changed(**changes):
    return {**RECORD, **changes}


def without(name):
    return {key: array for key, array in weights().items() if key != name}


NAN = weights() | {"a.bias": np.array([0, np.nan, 0], np.float32)}
BROKEN = {
    "a missing array": ({"arrays": without("b.bias")}, "'b.bias' is missing"),
    "a misshapen array": (
        {"arrays": weights() | {"a.bias": np.zeros(4, np.float32)}},
        "a.bias has the shape (4,), but its layer needs (3,)",
    ),
    "an array too many": (
        {"arrays": weights() | {"c.bias": np.zeros(4, np.float32)}},
        "'c.bias' belongs to no layer",
    ),
    "numbers that are none": ({"arrays": NAN}, "a.bias holds numbers that are not finite"),
    "text instead of numbers": (
        {"arrays": weights() | {"a.bias": np.array(["x", "y", "z"])}},
        "a.bias",
    ),
    "an unknown layer": ({"record": changed(pipeline="danse 3")}, "no layer 'danse'"),
    "a pipeline for other weights": (
        {"record": changed(pipeline="dense 7 --name a | dense 2 --name b")},
        "its layer needs",
    ),
    "a file in its pipeline": ({"record": changed(preprocessing="dense /etc/x.npz")}, "'dense'"),
    "ten gigabytes declared": (
        {"record": changed(input=[50000, 50000, 1], pipeline="flatten")},
        "which is not possible or too large",
    ),
    "a giant layer declared": (
        {"record": changed(pipeline="dense 16000000 --name a | dense 2 --name b")},
        "its layer needs",
    ),
    "numbers column by column": (
        {"raw": {"a.weight": npy(np.asfortranarray(weights()["a.weight"]))}},
        "a.weight is stored in Fortran order",
    ),
    "numbers of another machine": (
        {"raw": {"a.weight": npy(weights()["a.weight"].astype(">f4"))}},
        "a.weight is of type >f4",
    ),
    "an array of objects": (
        {"raw": {"a.bias": npy(np.array([{}, {}, {}], object))}},
        "a.bias: its elements are of type object",
    ),
    "a pickle": ({"raw": {"a.bias": pickle.dumps(weights()["a.bias"])}}, "a.bias: not a .npy file"),
    "an array that ends early": ({"raw": {"a.bias": npy(np.zeros(3, "<f4"))[:-1]}}, "truncated"),
    "a truth for a number": ({"record": changed(input=[True])}, "input must be the shape"),
    "a record without end": ({"record": changed(citation="x" * (5 << 20))}, "is too long"),
    "a deep record": ({"record": None, "raw": {}}, "model.json"),
    "no shape": ({"record": changed(input="4")}, "input must be the shape"),
    "labels for another result": ({"record": changed(labels=["one"])}, "1 labels for a result"),
    "half a letter for a label": ({"record": changed(labels=["no", "\ud800"])}, "number 2"),
    "a strange range": ({"record": changed(range=7)}, "range must be 1 or 255"),
    "a list for a record": ({"record": [1]}, "model.json"),
    "weights of another day": ({"sign": False}, "sha256 differs"),
    "compressed arrays": ({"compression": zipfile.ZIP_DEFLATED}, "compressed"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_model_is_one_line_and_exit_1(kind, workspace, inline):
    how, words = BROKEN[kind]
    if "record" in how and not isinstance(how["record"], dict):
        with zipfile.ZipFile("m.npz", "w") as archive:
            archive.writestr("model.json", "[" * 100_000 if how["record"] is None else "[1]")
    else:
        write("m.npz", **how)
    for command in (("classify", "photo.jpg", "--no-files", "--model"), ("info",)):
        assert_refused(inline(*command, "m.npz"), 1, "m.npz", words)


def test_a_truncated_model_is_one_line_and_exit_1(workspace, inline):
    whole = write(workspace / "m.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        (workspace / "m.npz").write_bytes(whole[:length])
        done = inline("classify", "photo.jpg", "--model", "m.npz", "--no-files")
        assert_refused(done, 1, "m.npz")


def test_any_flipped_byte_of_the_weights_is_noticed(tmp_path):
    path = write(tmp_path / "m.npz")
    whole = bytearray(path.read_bytes())
    at = whole.find(weights()["a.weight"].tobytes()) + 5
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ModelError):
        files.load(path)


def test_a_header_that_declares_gigabytes_allocates_nothing(tmp_path):
    path = tmp_path / "m.npz"
    huge = changed(pipeline="dense 16000000 --name a | dense 160 --name b", labels=[])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps(huge))
        shapes = {"a.weight": (4, 16000000), "a.bias": (16000000,)}
        shapes |= {"b.weight": (16000000, 160), "b.bias": (160,)}
        for name, shape in shapes.items():
            data = io.BytesIO()
            head = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(data, head)
            archive.writestr(f"{name}.npy", data.getvalue())
    assert path.stat().st_size < 3000
    tracemalloc.start()
    with pytest.raises(ModelError, match="truncated"):
        files.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_sizes_that_lie_allocate_nothing(tmp_path):
    path = write(tmp_path / "m.npz")
    whole = bytearray(path.read_bytes())
    entry = whole.rfind(b"PK\1\2")
    whole[entry + 20 : entry + 28] = struct.pack("<II", 0x0FFFFF00, 0x0FFFFF00)
    path.write_bytes(whole)
    tracemalloc.start()
    with pytest.raises(ModelError, match=r"truncated: b\.bias\.npy declares"):
        files.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", json.dumps(RECORD))
        archive.writestr("a.weight.npy", bytes(100 << 20))
    tracemalloc.start()
    with pytest.raises(ModelError, match="compressed"):
        files.load(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_name_in_a_file_drives_no_terminal(workspace, shell):
    write("m.npz", changed(title="\x1b[31mred", source="a\nb"))
    done = shell("script -qec 'featcli info m.npz' /dev/null")
    assert "red" in done.stdout
    assert "\x1b[31m" not in done.stdout


def test_a_model_that_is_not_there_is_a_mistake_of_usage(workspace, inline):
    assert_refused(
        inline("classify", "photo.jpg", "--model", "imagent"), 2, "did you mean imagenet?"
    )
    assert_refused(inline("classify", "photo.jpg", "--model", "x/m.npz"), 2, "no model file")


def test_a_history_loads_the_weights_that_it_names_or_none(tmp_path):
    path = write(tmp_path / "m.npz")
    reference = api.load_model(path).reference
    assert api.load_model(reference).name == "tiny"
    write(path, arrays=weights(1))
    with pytest.raises(ValueError, match="other weights"):
        api.load_model(reference)


@pytest.mark.parametrize(
    "changes",
    [{"labels": ["nein", "ja"]}, {"preprocessing": "resize 4x4 | pool 2 | flatten"}, {"range": 1}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_model_that_says_something_else_is_another_model(changes, workspace, inline):
    write("m.npz")
    command = ("classify", "photo.jpg", "--model", "m.npz", "-v")
    assert inline(*command).returncode == 0
    assert "unchanged" in inline(*command).stderr
    reference = api.load_model("m.npz").reference
    write("m.npz", changed(**changes))
    done = inline(*command)
    assert (done.returncode, "unchanged" in done.stderr) == (0, False)
    with pytest.raises(ValueError, match="other weights, labels or preprocessing"):
        api.load_model(reference)
    write("m.npz", changed(title="other words, the same answers"))
    assert api.load_model(reference).labels == ("no", "yes")


def test_an_npz_that_is_no_model_says_so(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with pytest.raises(FeatError, match="no model"):
        api.load_model(tmp_path / "a.npz")


def test_every_number_of_16_bits_is_read_as_it_is(tmp_path):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = np.ascontiguousarray(every[np.isfinite(every)])
    record = {
        "name": "wide",
        "input": [1],
        "pipeline": f"dense {len(finite)} --no-bias --name a",
        "labels": [],
    }
    path = write(tmp_path / "m.npz", record, {"a.weight": finite[np.newaxis]})
    found = api.load_model(path).weights["a.weight"][0]
    np.testing.assert_array_equal(found.view(np.int32), finite.astype(np.float32).view(np.int32))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_numbers_of_16_bits_that_are_not_finite_are_refused(bad, tmp_path):
    halves = {key: array.astype(np.float16) for key, array in weights().items()}
    halves["b.bias"][1] = bad
    path = write(tmp_path / "m.npz", RECORD, halves)
    with pytest.raises(api.FeatError, match=r"b\.bias holds numbers that are not finite"):
        api.load_model(path)


def test_a_text_of_very_many_layers_is_refused_at_once(workspace):
    network = api.Network("relu | " * 1990 + "flatten | dense 2 | softmax", (2, 2, 1))
    assert len(network.names) == 1993
    with pytest.raises(ValueError, match="it has 100001 layers, 2000 at most"):
        api.Network("relu | " * 100_000 + "flatten", (2, 2, 1))
