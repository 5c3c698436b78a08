"""Read and check an .onnx file and its external data, without running it.

`torch.onnx.export` and others write the weights into a second file, such as `m.onnx.data`; the
first one has its name, and the offset and length of each tensor (ONNX, External Data).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from featcli import system
from featcli.errors import UsageError
from featcli.extras import extra
from featcli.models import sidecar

METADATA = "featcli"  # the metadata key for which `featcli export` writes labels and preprocessing
_LARGEST = (1 << 31) - (1 << 20)  # bytes of all weights, limited by protocol buffers
_PADDING = 1 << 16  # bytes that may follow the last tensor, since writers align to pages
_STRING = 8  # in TensorProto


class _Part(NamedTuple):
    """The place of a tensor's numbers in a data file."""

    tensor: Any
    path: Path
    offset: int
    length: int


@contextmanager
def sound() -> Iterator[None]:
    """Turn exceptions of protobuf, onnx and onnxruntime into a ValueError of one line."""
    try:
        yield
    except (UsageError, ValueError):
        raise
    except Exception as error:  # their exceptions have no common base class
        raise ValueError(_reason(str(error).strip())) from error


def _reason(text: str) -> str:
    """Return the message of onnx or onnxruntime in one line."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : (Fatal error: )?", "", text)
    ran = re.search(
        r"while running (\w+) node\. Name:'(.*?)' Status Message: (.*)", text, re.DOTALL
    )
    if ran and "Available memory" in ran[3]:
        return f"its {ran[1]} {ran[2]!r} needs more than half of the memory"
    if ran:
        why = re.sub(r"^\S*onnxruntime\S*/(.*?\) )?", "", ran[3].splitlines()[0] if ran[3] else "")
        return f"onnxruntime cannot run its {ran[1]} {ran[2]!r}: {why[:150]}"
    first = text.splitlines()[0] if text else "broken"
    return f"not a valid ONNX model: {first[:150]}"


def read(path: Path, axes: int = 4) -> Any:
    """Return the model with its external data; raises ValueError or OSError.

    An input of unknown shape gets `axes` axes of any size.
    """
    onnx = extra("onnx", "onnx")
    with sound():
        model = onnx.load(str(path), load_external_data=False)
        _check_nodes(model)
        for part in _checked(list(_parts(model, path.parent))):
            part.tensor.raw_data = _bytes(part)
            part.tensor.ClearField("external_data")
            part.tensor.data_location = onnx.TensorProto.DEFAULT
        _open_sizes(model.graph, axes)
        onnx.checker.check_model(model)
    return model


def metadata(model: Any) -> dict[str, Any]:
    """Return the labels and preprocessing that `featcli export` has written into the metadata.

    Raises
    ------
    ValueError
        The metadata are not a valid JSON object.
    """
    text = next((one.value for one in model.metadata_props if one.key == METADATA), "{}")
    try:
        record = json.loads(text)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        return sidecar.checked({name: record[name] for name in sidecar.KNOWN if name in record})
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata {METADATA!r}: {error}") from None


def files(path: Path) -> list[Path]:
    """Return the model's file and its data files."""
    state = path.stat()
    return [path, *_data_files(path, state.st_mtime_ns, state.st_size)]


def identity(path: Path) -> str:
    """Return the sha256 of the model's file, its data files, and its sidecar if there is one."""
    return digest([*files(path), *([sidecar.place(path)] if sidecar.read(path) else [])])


def digest(paths: Iterable[Path]) -> str:
    """Return the sha256 of the concatenated content of files."""
    found = hashlib.sha256()
    for one in paths:
        with one.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()


@lru_cache(maxsize=8)
def _data_files(path: Path, _mtime: int, _size: int) -> tuple[Path, ...]:
    """Return the data files, each once; none for a model that cannot be read."""
    try:
        with sound():
            model = extra("onnx", "onnx").load(str(path), load_external_data=False)
            return tuple(dict.fromkeys(part.path for part in _parts(model, path.parent)))
    except (ValueError, OSError):
        return ()


def _check_nodes(model: Any) -> None:
    """Raise ValueError for a node with subgraphs: a branch or a loop."""
    for node in _nodes(model):
        if any(one.HasField("g") or one.graphs for one in node.attribute):
            raise ValueError(
                f"has control flow ({node.op_type} {node.name or node.output[0]!r}), which "
                "featcli does not run: export it for one fixed size, or simplify it with onnxsim"
            )


def _nodes(model: Any) -> Iterator[Any]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: Any) -> Iterator[Any]:
    """Yield all constant tensors of a model."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for one in node.attribute:
            yield from ([one.t] if one.HasField("t") else [])
            yield from one.tensors


def _parts(model: Any, folder: Path) -> Iterator[_Part]:
    """Yield the places of all external tensors; raises ValueError."""
    external = extra("onnx", "onnx").TensorProto.EXTERNAL
    for tensor in _tensors(model):
        if tensor.data_location == external:
            about = {one.key: one.value for one in tensor.external_data}
            path = _beside(folder, about.get("location", ""), tensor.name)
            length = _length(tensor)
            said = _number(about, "length", length, tensor.name)
            if said != length:
                raise ValueError(
                    f"its tensor {tensor.name!r} needs {length:,} bytes, but {said:,} are declared "
                    f"in {path.name}"
                )
            yield _Part(tensor, path, _number(about, "offset", 0, tensor.name), length)


def _beside(folder: Path, location: str, name: str) -> Path:
    """Return a file in the model's folder or below it; raises ValueError for any other."""
    pieces = location.split("/")
    if not location or "\\" in location or ":" in location or {"", ".", ".."} & set(pieces):
        raise ValueError(
            f"its tensor {name!r} lies in {location!r}: weights are read from files in the "
            "model's own folder only"
        )
    path = folder.joinpath(*pieces)
    if os.path.realpath(path) != os.path.join(os.path.realpath(folder), *pieces):  # noqa: PTH118
        raise ValueError(f"its data file {location} is a link: put the file itself there")
    return path


def _length(tensor: Any) -> int:
    """Return the number of bytes of a tensor."""
    onnx = extra("onnx", "onnx")
    if any(n < 0 for n in tensor.dims) or tensor.data_type == _STRING:
        raise ValueError(f"its tensor {tensor.name!r} has an invalid size or type")
    count = math.prod(tensor.dims)
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    if kind.endswith("INT4") or kind.startswith("FLOAT4"):
        return -(-count // 2)
    if kind.endswith("INT2"):
        return -(-count // 4)
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _number(about: Mapping[str, str], name: str, default: int, tensor: str) -> int:
    text = about.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"its tensor {tensor!r} has the {name} {text!r}, which is not a number")
    return int(text)


def _checked(parts: list[_Part]) -> list[_Part]:
    """Check the sizes of the data files before reading them; raises ValueError."""
    total = sum(part.length for part in parts)
    if total > _LARGEST:
        raise ValueError(f"its weights of {total:,} bytes are more than the {_LARGEST:,} allowed")
    for path in dict.fromkeys(part.path for part in parts):
        ends = {part.tensor.name: part.offset + part.length for part in parts if part.path == path}
        _check_size(path, _size(path), ends)
    return parts


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError as error:
        raise ValueError(
            f"its weights are in {path.name}, which is not beside it: {error.strerror}"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"its weights are in {path.name}, which is not a regular file")
    return found.st_size


def _check_size(path: Path, size: int, ends: Mapping[str, int]) -> None:
    last = max(ends, key=lambda name: ends[name])
    if ends[last] > size:
        raise ValueError(
            f"{path.name} is too short for its weights: {size:,} bytes, and the tensor {last!r} "
            f"ends at {ends[last]:,}"
        )
    if size - ends[last] > _PADDING:
        raise ValueError(
            f"{path.name} is larger than its weights: {size:,} bytes, and the last tensor ends at "
            f"{ends[last]:,}; is it another model's?"
        )


def _bytes(part: _Part) -> bytes:
    """Read the bytes of a tensor; raises OSError if the file is a link."""
    number = os.open(part.path, os.O_RDONLY | system.PLAIN)
    with os.fdopen(number, "rb") as stream:
        stream.seek(part.offset)
        found = stream.read(part.length)
    if len(found) != part.length:
        raise ValueError(f"{part.path.name} ends before the tensor {part.tensor.name!r} does")
    return found


def _open_sizes(graph: Any, axes: int) -> None:
    """Clear sizes of -1 or 0, by which some programs mark axes of any size."""
    for one in graph.input:
        if one.type.HasField("tensor_type") and not one.type.tensor_type.HasField("shape"):
            for _ in range(axes):
                one.type.tensor_type.shape.dim.add()
    for one in (*graph.input, *graph.value_info, *graph.output):
        for size in one.type.tensor_type.shape.dim if one.type.HasField("tensor_type") else ():
            if size.HasField("dim_value") and size.dim_value < 1:
                size.ClearField("dim_value")
