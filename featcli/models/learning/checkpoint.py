"""Checkpoints: the state of a training, in an .npz beside the model, from which it can be resumed.

A checkpoint is not trusted: every entry is checked by a rule, and all by a checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from featcli import npy
from featcli.errors import FeatError, ReadError
from featcli.models.learning.checks import Digest, Number, Optional, Record, Rows, Rule, Whole
from featcli.models.learning.training import Epoch, Training
from featcli.models.operations.base import Array

_RECORD = "checkpoint.json"
_LONGEST = 1 << 24
_SLACK = 1 << 24  # bytes of memory for arrays besides their numbers
_FORMAT = 3
_MOST = 1 << 53  # largest count
_SHARE = Number(0, 1, below=False)
_EPOCH = {
    "epoch": Whole(1, _MOST),
    "loss": Number(0),
    "accuracy": _SHARE,
    "val_loss": Optional(Number(0)),
    "val_accuracy": Optional(_SHARE),
    "lr": Number(0),
    "seconds": Number(0),
    "images_per_second": Number(0),
}
_ENTRIES: dict[str, Rule] = {
    "format": Whole(_FORMAT, _FORMAT),
    "options": Record({}, others=True),  # checked by featcli.training.options
    "digest": Digest(),
    "steps": Whole(0, _MOST),
    "history": Rows(Record(_EPOCH)),
    "sha256": Digest(),
}


class CheckpointError(FeatError):
    """A checkpoint is damaged, or belongs to another training."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    Attributes
    ----------
    options : dict
        The options of the command, text and numbers only.
    digest : str
        Hash of the data.
    steps : int
        Steps of the optimizer so far.
    history : tuple of Epoch
    arrays : dict of str to ndarray
        See `Training.state`.
    """

    options: dict[str, Any]
    digest: str
    steps: int
    history: tuple[Epoch, ...]
    arrays: dict[str, Array]


def path_beside(model: Path) -> Path:
    """Return the path of the checkpoint of a model in training."""
    return model.with_name(f"{model.stem}.checkpoint.npz")


def save(stream: BinaryIO, training: Training, options: Mapping[str, Any], digest: str) -> None:
    """Write a checkpoint of a training."""
    record = {
        "format": _FORMAT,
        "options": dict(options),
        "digest": digest,
        "steps": training.optimizer.steps,
        "history": [asdict(one) for one in training.history],
    }
    arrays = training.state()
    record["sha256"] = _checksum(record, arrays)
    with npy.ArchiveWriter(stream) as writer:
        writer.write_text(_RECORD, json.dumps(record, indent=1).encode())
        for name, array in arrays.items():
            writer.write(name, array)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; raises CheckpointError, which names the file and the entry."""
    if not path.is_file():
        raise CheckpointError(f"{path} is not a regular file")
    try:
        return _loaded(path)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except (ValueError, ReadError) as error:
        raise broken(path, error) from error


def broken(path: Path, error: Exception) -> CheckpointError:
    """Return the error that says why a checkpoint is invalid."""
    return CheckpointError(f"{path}: not a valid checkpoint: {error}")


def _loaded(path: Path) -> Checkpoint:
    record = _record(path)
    if record.get("format") != _FORMAT:
        raise ValueError("it was written by another version of featcli")
    Record(_ENTRIES).check(record, "")
    # Checkpoints are not compressed, so the arrays need no more memory than the file's size.
    arrays = npy.load_archive(path, path.stat().st_size + _SLACK)
    history = tuple(Epoch(**one) for one in record["history"])
    if [one.epoch for one in history] != list(range(1, len(history) + 1)):
        raise ValueError("history must have the epochs from 1 on, each once")
    if record.pop("sha256") != _checksum(record, arrays):
        raise ValueError("it was changed after it was written: its sha256 does not match")
    return Checkpoint(record["options"], record["digest"], record["steps"], history, arrays)


def _record(path: Path) -> dict[str, Any]:
    """Read the JSON record; raises ValueError or OSError."""
    try:
        with npy.open_archive(path) as archive:
            if archive.getinfo(_RECORD).file_size > _LONGEST:
                raise ValueError("is too long")
            record = json.loads(archive.read(_RECORD))
    except OSError:
        raise
    except Exception as error:  # json raises many types of errors on broken data
        raise ValueError(f"{_RECORD}: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{_RECORD} must be a record, not {type(record).__name__}")
    return record


def _checksum(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Return the sha256 of the whole content of a checkpoint."""
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
