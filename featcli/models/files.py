"""Model files: an .npz with the weights, and a `model.json` with everything else.

Files are not trusted. The size of the JSON is limited, the network is built from it before an array
is read, and every array's header must match the network. Arrays are not compressed, so no size can
exceed that of the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from featcli import budget, npy
from featcli.errors import FeatError, ReadError
from featcli.frame import Array
from featcli.models.labels import is_text
from featcli.models.network import Network, check_fits, preprocessing
from featcli.pipeline import Pipeline

RECORD = "model.json"
_MODELS = " (a model is an .npz that 'featcli train' wrote, or an .onnx)"
_LONGEST_RECORD = 1 << 22
_MOST_ENTRIES = 10_000
_LARGEST = budget.DEFAULT // 2  # in memory as they are stored, and once more as float32
_CHUNK = 1 << 16  # numbers that are converted at a time, so that they stay in the cache
# For float16: mask of the exponent; mask of its bits in a float32; 2 ** (difference of biases).
_EXPONENT, _PLACES, _BIAS = np.int16(0x7C00), np.int32(-0x70002000), np.float32(2.0**112)
TEXTS = ("name", "title", "pipeline", "preprocessing", "channels", "source", "licence", "citation")


class ModelError(ReadError):
    """A model file is damaged or invalid."""


class Description(NamedTuple):
    """The content of a model file except the weights.

    Attributes
    ----------
    name, title, source, licence, citation : str
    network : Network
    preprocessing : Pipeline or None
        Steps from an image to the network's input; None uses the pixels unchanged.
    channels : {"RGB", "gray"}
        The channels that an image is converted to first.
    range : int
        The largest pixel value: 255 or 1.
    labels, ids : tuple of str
        Names of the classes, and other identifiers of them (such as WordNet's).
    sha256 : str
        Hash of the weights, see `digest`; may be empty in a file that was written by hand.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    network: Network
    preprocessing: Pipeline | None
    channels: str
    range: int
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    sha256: str


def is_model(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is an .npz that contains `model.json`."""
    try:
        with npy.open_archive(path) as archive:
            return RECORD in archive.namelist()
    except (OSError, ReadError):
        return False


def save(stream: BinaryIO, record: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
    """Write a model file; equal contents give equal bytes.

    Parameters
    ----------
    stream : binary file
    record : mapping
        The entries of `Description`, but `input` (a shape) and `pipeline` (a text) for the network.
    weights : mapping of str to ndarray
        By layer and part, such as `block1.depthwise.weight`; float16 or float32.

    Raises
    ------
    ValueError
        The record is invalid, or the weights do not match its network.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    whole = {**record, "sha256": digest(arrays)}
    _check_weights(arrays, _describe(whole).network.weights)
    text = json.dumps(whole, indent=1, ensure_ascii=True).encode() + b"\n"
    with npy.ArchiveWriter(stream) as writer:
        writer.write_text(RECORD, text)
        for name, array in arrays.items():
            writer.write(name, array)


def _check_weights(arrays: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless the arrays are the weights of the network."""
    if missing := sorted(set(wanted) - set(arrays)):
        raise ValueError(f"the array {missing[0]!r} is missing, of shape {wanted[missing[0]]}")
    if unknown := sorted(set(arrays) - set(wanted)):
        raise ValueError(f"the array {unknown[0]!r} belongs to no layer")
    for name, array in arrays.items():
        if array.shape != wanted[name]:
            raise ValueError(f"{name} has the shape {array.shape}, not {wanted[name]}")
        if not _is_finite(array):
            raise ValueError(f"{name} holds numbers that are not finite")


def digest(weights: Mapping[str, Array]) -> str:
    """Return the sha256 of the names, types, shapes and bytes of all weights, sorted by name."""
    found = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.data)
    return found.hexdigest()


def identity(found: Description) -> str:
    """Return a sha256 of everything that a model's results depend on."""
    words = [
        found.sha256,
        found.network.text,
        list(found.network.input),
        str(found.preprocessing or ""),
        found.channels,
        found.range,
        list(found.labels),
    ]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def load(path: str | os.PathLike[str]) -> tuple[Description, dict[str, Array]]:
    """Read a model file.

    Returns
    -------
    description : Description
    weights : dict of str to ndarray of float32

    Raises
    ------
    ModelError
        The file is truncated or damaged, an array is missing or has another shape than the network
        needs, or numbers are not finite.
    """
    with _opened(path) as archive:
        found = _description(archive)
        sha256, weights = _weights(archive, found)
        return found._replace(sha256=sha256), weights


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a model file; errors in the `with` block become a ModelError that names it."""
    try:
        with npy.open_archive(path) as archive:
            yield archive
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except FeatError as error:
        raise ModelError(f"{path}: not a valid model file: {error}{_MODELS}") from error


def _description(archive: zipfile.ZipFile) -> Description:
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if size > _LARGEST:
        raise ModelError(
            f"its arrays take {budget.format_size(size)}, {budget.format_size(_LARGEST)} at most"
        )
    if RECORD not in archive.namelist():
        raise ModelError(f"not a model: it holds no {RECORD}{_MODELS}")
    if len(entries) > _MOST_ENTRIES or archive.getinfo(RECORD).file_size > _LONGEST_RECORD:
        raise ModelError(f"its {RECORD} or its list of arrays is too long")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError("its arrays are compressed: write them with numpy.savez")
    try:
        record = json.loads(archive.read(RECORD))
        return _describe(record)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{RECORD}: {error}") from error


def _describe(record: Any) -> Description:
    """Return the description of a record; raises ValueError."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    if not isinstance(record.get("pipeline"), str):
        raise ValueError("pipeline is missing or not a text")
    network = Network(record["pipeline"], _shape(record.get("input")))
    sha256 = record.get("sha256", "")
    if not isinstance(sha256, str):
        raise ValueError("sha256 must be a text, or be left out")
    return described(record, network, sha256)


def described(record: Mapping[str, Any], network: Network, sha256: str) -> Description:
    """Return the description of a record and a network; raises ValueError."""
    texts = {name: record.get(name, "") for name in TEXTS}
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    if wrong or not texts["name"]:
        raise ValueError(f"{(wrong or ['name'])[0]} is missing or not a text")
    if texts["channels"] not in ("", "RGB", "gray"):
        raise ValueError(f"channels must be RGB or gray, not {texts['channels']!r}")
    return Description(
        **{name: texts[name] for name in ("name", "title", "source", "licence", "citation")},
        network=network,
        preprocessing=_before(texts["preprocessing"]),
        channels=texts["channels"] or "RGB",
        range=_range(record),
        labels=_names(record, "labels", network),
        ids=_names(record, "ids", network),
        sha256=sha256,
    )


def completed(
    found: Description, labels: Sequence[str] | None, before: Pipeline | None
) -> Description:
    """Return a description with other labels or another preprocessing.

    Raises ValueError if they do not fit the network. Other labels have no ids.
    """
    if labels is not None:
        given = {"labels": list(labels)}
        found = found._replace(labels=_names(given, "labels", found.network), ids=())
    if before is not None:
        check_fits(before, found.network, 3 if found.channels == "RGB" else 1)
        found = found._replace(preprocessing=before)
    return found


def _shape(given: Any) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(one) is int for one in given):
        raise ValueError("input must be the shape of the input: a list of whole numbers")
    return tuple(given)


def _before(text: str) -> Pipeline | None:
    try:
        return preprocessing(text) if text else None
    except ValueError as error:
        raise ValueError(f"preprocessing: {error}") from None


def _range(record: Mapping[str, Any]) -> int:
    value = record.get("range", 255)
    if type(value) is not int or value not in (1, 255):
        raise ValueError(f"range must be 1 or 255, not {value}")
    return value


def _names(record: Mapping[str, Any], name: str, network: Network) -> tuple[str, ...]:
    given = record.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError(f"{name} must be a list of texts")
    for number, one in enumerate(given, 1):
        if not one or not is_text(one):
            raise ValueError(f"{name}: number {number} is not a text: {one!r}")
    if given and network.shape not in ((), (len(given),)):
        raise ValueError(f"{len(given)} {name} for a result of shape {network.shape}")
    return tuple(given)


def _weights(archive: zipfile.ZipFile, found: Description) -> tuple[str, dict[str, Array]]:
    """Return the weights, and their sha256."""
    wanted = found.network.weights
    present = {name.removesuffix(".npy") for name in archive.namelist()} - {RECORD}
    if missing := sorted(set(wanted) - present):
        raise ModelError(f"the array {missing[0]!r} is missing")
    if unknown := sorted(present - set(wanted)):
        raise ModelError(f"the array {unknown[0]!r} belongs to no layer")
    stored = {name: _read(archive, name, shape) for name, shape in wanted.items()}
    sha256 = digest(stored)
    if found.sha256 not in ("", sha256):
        raise ModelError("its weights are not those that it was written with: the sha256 differs")
    return sha256, _as_floats(stored)


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Array:
    """Read an array; raises ModelError unless its header matches the network."""
    stream = io.BytesIO(_stored(archive, archive.getinfo(f"{name}.npy")))
    try:
        header, length = npy.read_header(stream)
    except ReadError as error:
        raise ModelError(f"{name}: {error}") from error
    if header.fortran:
        raise ModelError(f"{name} is stored in Fortran order: write it with ascontiguousarray")
    if header.shape != shape:
        raise ModelError(f"{name} has the shape {header.shape}, but its layer needs {shape}")
    if header.dtype not in (np.float16, np.float32) or not header.dtype.isnative:
        raise ModelError(f"{name} is of type {header.dtype}, not float16 or float32")
    data = stream.getbuffer()[length:]
    if len(data) != header.nbytes:
        raise ModelError(f"{name} is truncated or too long")
    return np.frombuffer(data, header.dtype).reshape(shape)


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read the bytes of an entry without checking its CRC, since the sha256 is checked anyway.

    Source of the offsets: the ZIP specification (APPNOTE), section 4.3.7.
    """
    stream = archive.fp
    assert stream is not None
    stream.seek(entry.header_offset)
    head = stream.read(30)
    if head[:4] != b"PK\3\4" or len(head) < 30:
        raise ModelError("not a valid model file: an array is not where it should be")
    lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    stream.seek(lengths, io.SEEK_CUR)
    present = os.fstat(stream.fileno()).st_size - stream.tell()
    if entry.file_size > present:
        raise ModelError(f"truncated: {entry.filename} declares {entry.file_size} bytes")
    return stream.read(entry.file_size)


def _as_floats(stored: dict[str, Array]) -> dict[str, Array]:
    """Return all arrays as float32, one after the other in one block of memory."""
    block = np.empty(sum(math.prod(array.shape) for array in stored.values()), dtype=np.float32)
    weights = {}
    begin = 0
    for name, array in stored.items():
        if not _is_finite(array):
            raise ModelError(f"{name} holds numbers that are not finite")
        part = block[begin : begin + array.size]
        _widen(array.reshape(-1), part)
        weights[name] = part.reshape(array.shape)
        begin += array.size
    return weights


def _is_finite(array: Array) -> bool:
    if array.dtype == np.float16:  # by the exponent, because NumPy would convert to float32 first
        return not ((array.view(np.int16) & _EXPONENT) == _EXPONENT).any()
    return bool(np.isfinite(array).all())


def _widen(array: Array, out: Array) -> None:
    """Convert finite numbers to float32; for float16 three times as fast as NumPy.

    Sign, exponent and fraction are moved to their places in 32 bits; then a multiplication corrects
    the bias of the exponent, also for subnormal numbers.
    """
    if array.dtype != np.float16:
        out[...] = array
        return
    halves, bits = array.view(np.int16), out.view(np.int32)
    for begin in range(0, len(out), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        wide = bits[part]
        wide[...] = halves[part]
        wide <<= 13
        wide &= _PLACES
        out[part] *= _BIAS
