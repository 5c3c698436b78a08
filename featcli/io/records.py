"""Records of arrays, as JSON: the sidecar of a file, and the head of a sample in a stream."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from featcli import budget, system
from featcli._version import __version__
from featcli.errors import OutputExists, ReadError
from featcli.frame import Array, Frame, Sample, Source, Step

_DEEPEST = 32


def describe(frame: Frame) -> dict[str, Any]:
    """Return the record of a frame, without its numbers and its source."""
    row_length = {"row_length": frame.row_length} if frame.row_length else {}
    return {
        "part": frame.part,
        "labels": list(frame.labels),
        "shape": list(frame.data.shape),
        "dtype": frame.data.dtype.str,
        **row_length,
        "history": [step.to_json() for step in frame.history],
    }


def describe_source(source: Source) -> dict[str, str]:
    """Return a source as JSON."""
    return {"key": source.key, "file": source.file}


def describe_sample(sample: Sample) -> dict[str, Any]:
    """Return the record of a sample: its parts, or its error."""
    head: dict[str, Any] = {"featcli": __version__, "source": describe_source(sample.source)}
    if sample.error:
        return {**head, "error": sample.error}
    return {**head, "parts": [describe(frame) for frame in sample.frames]}


def to_source(record: Mapping[str, Any]) -> Source:
    """Undo `describe_source`; raises ValueError."""
    source = record.get("source")
    if not isinstance(source, dict):
        raise ValueError("no source")
    key, file = source.get("key"), source.get("file")
    if not isinstance(key, str) or not isinstance(file, str):
        raise ValueError("the source is not text")
    return Source(safe_key(key), file)


def to_frame(record: Mapping[str, Any], data: Array, source: Source) -> Frame:
    """Return a frame of an array and its record; raises ValueError if they disagree."""
    if record.get("shape") != list(data.shape) or record.get("dtype") != data.dtype.str:
        raise ValueError("its shape or type differs from that of the array")
    labels, part, history = record.get("labels"), record.get("part"), record.get("history")
    if not isinstance(labels, list) or not isinstance(part, str) or not isinstance(history, list):
        raise ValueError("labels, part or history is missing")
    if not all(isinstance(label, str) for label in labels):
        raise ValueError("a label is not text")
    return Frame(data, tuple(labels), source, part, to_steps(history), _row_length(record, data))


def _row_length(record: Mapping[str, Any], data: Array) -> int:
    """Return the length of a row of the maps that became this vector; raises ValueError."""
    found = record.get("row_length", 0)
    whole = isinstance(found, int) and not isinstance(found, bool)
    if not whole or not 0 <= found <= (data.size if data.ndim == 1 else 0):
        raise ValueError("its row_length does not fit the array")
    return found


def to_steps(history: Any) -> tuple[Step, ...]:
    """Return the steps of a history; raises ValueError."""
    if not isinstance(history, list) or not all(isinstance(step, dict) for step in history):
        raise ValueError("the history is not a list of steps")
    return tuple(Step.from_json(step) for step in history)


def safe_key(key: str) -> str:
    """Return `key` if it stays inside the output folder; raises ValueError."""
    pieces = key.split("/")
    if "\0" in key or not {"", ".", ".."}.isdisjoint(pieces):
        raise ValueError(f"the key {key!r} leads out of the output folder")
    if not all(map(system.can_name_file, pieces)):
        raise ValueError(f"the key {key!r} cannot be a file's name on Windows")
    try:
        os.fsencode(key)
    except UnicodeEncodeError as error:
        raise ValueError(f"the key {key!r} cannot be a file's name") from error
    return key


def check_key(key: str, file: object) -> None:
    """Raise ReadError for the key of a file that `safe_key` refuses."""
    try:
        safe_key(key)
    except ValueError as error:
        raise ReadError(f"{file}: {error}") from error


def dumps(record: Mapping[str, Any], indent: int | None = None) -> bytes:
    """Return JSON in ASCII, in which file names that are not UTF-8 survive as surrogates."""
    return json.dumps(record, indent=indent, allow_nan=False).encode() + b"\n"


def loads(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; raises ReadError."""
    try:
        record = json.loads(data, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise ReadError("broken JSON") from error
    if not isinstance(record, dict):
        raise ReadError("not a JSON object")
    if not _is_shallow(record, _DEEPEST):
        raise ReadError(f"JSON of more than {_DEEPEST} levels")
    return record


def _is_shallow(value: Any, levels: int) -> bool:
    """Return whether lists and objects are nested at most this deep, to limit recursion."""
    values = value.values() if isinstance(value, dict) else value
    inner = (one for one in values if isinstance(one, (dict, list)))
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _finite(text: str) -> float:
    """Return a number; raises ValueError for NaN, Infinity and 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with a checksum, which shows whether it was edited."""
    return {**record, "seal": zlib.crc32(dumps(record))}


def is_sealed(record: dict[str, Any]) -> bool:
    """Return whether a record is unchanged since `sealed`."""
    rest = {key: value for key, value in record.items() if key != "seal"}
    return "seal" in record and record["seal"] == zlib.crc32(dumps(rest))


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return the record beside the array at `path`; None if there is none by featcli."""
    try:
        return read_own(path)
    except ReadError:
        return None


def read_own(path: Path) -> dict[str, Any] | None:
    """Do the same as `read_sidecar`, but raise ReadError if it is broken or too long."""
    try:
        record = loads(budget.read_file(path.with_suffix(".json")))
    except OSError:
        return None
    return record if "featcli" in record else None


def state_of(path: str | Path) -> dict[str, int]:
    """Return what changes when a file changes: its size and modification time."""
    return _state(os.stat(path))  # noqa: PTH116


def _state(found: os.stat_result) -> dict[str, int]:
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}


def input_state(path: str | Path) -> dict[str, int]:
    """Return what changes when an input changes: its size and modification time.

    Files unpacked from featcli's tar streams have the modification time 0 (1970); for these, the
    time at which the file's metadata changed is included.
    """
    found = os.stat(path)  # noqa: PTH116
    state = _state(found)
    return state if state["mtime_ns"] else {**state, "ctime_ns": found.st_ctime_ns}


def digest_of(frames: tuple[Frame, ...]) -> dict[str, str]:
    """Return a digest of frames from a pipe, which have no modification time."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for frame in frames:
        digest.update(dumps(describe(frame)))
        digest.update(frame.data.tobytes())
    return {"blake2b": digest.hexdigest()}


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_same_input(known: Any, now: Mapping[str, Any]) -> bool:
    """Return whether two states are equal: by the digest if `now` has one, else by the rest."""
    if not isinstance(known, dict) or not now:
        return False
    if "sha256" in now:
        return bool(known.get("sha256") == now["sha256"])
    return {name: value for name, value in known.items() if name != "sha256"} == dict(now)


def is_made_from(
    record: Mapping[str, Any], history: Iterable[Step], source: Source, state: Mapping[str, Any]
) -> bool:
    """Return whether a record is that of a result of this input in this state, by these steps."""
    return (
        record.get("history") == as_json([step.to_json() for step in history])
        and record.get("source") == describe_source(source)
        and is_same_input(record.get("input"), state)
        and is_same_version(record.get("featcli"))
    )


def check_source(record: Mapping[str, Any], source: Source, path: object) -> None:
    """Refuse to replace the result of another input, according to its record.

    Results of the same input may be replaced. Raises OutputExists.
    """
    about = record.get("source")
    known = about.get("file") if isinstance(about, dict) else None
    if isinstance(known, str) and not is_same_or_gone(known, source.file):
        raise OutputExists(
            f"{path} was made from {known}, not from {source.file}: "
            "choose another output, or --overwrite replaces it"
        )


def as_json(value: Any) -> Any:
    """Return a value as it is after JSON: tuples become lists."""
    return json.loads(json.dumps(value))


def is_same_or_gone(known: str, now: str) -> bool:
    """Return whether two paths are the same file, or the first no longer exists."""
    if known == now:
        return True
    if "://" in known:
        from featcli.io.remote.bucket import is_gone

        return is_gone(known)
    try:
        return os.path.samefile(known, now)  # noqa: PTH121
    except (OSError, ValueError):
        return not os.path.exists(known)  # noqa: PTH110


def is_same_version(version: Any) -> bool:
    """Return whether results of a version may be reused: its major number is the current one."""
    return str(version).partition(".")[0] == __version__.partition(".")[0]
