"""What a later run needs to go on as if there had been no pause: an .npz beside the model.

Nothing in it is trusted: every entry has a rule, and the checksum of all tells of what the rules
allow but nobody wrote.
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
_SLACK = 1 << 24  # bytes for what an array takes besides its numbers
_FORMAT = 3
_MOST = 1 << 53  # of what is counted
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
    "options": Record({}, others=True),  # those who know the options check them
    "digest": Digest(),
    "steps": Whole(0, _MOST),
    "history": Rows(Record(_EPOCH)),
    "sha256": Digest(),
}


class CheckpointError(FeatError):
    """A checkpoint is broken, or of something else."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stood after an epoch.

    Attributes
    ----------
    options : dict
        Of the command, text and numbers only.
    digest : str
        Of the data.
    steps : int
        How many the optimizer has gone.
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
    """Return where the checkpoint of a model lies while it is trained."""
    return model.with_name(f"{model.stem}.checkpoint.npz")


def save(stream: BinaryIO, training: Training, options: Mapping[str, Any], digest: str) -> None:
    """Write where a training stands."""
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
    """Say that a checkpoint is none, and why."""
    return CheckpointError(f"{path}: no sound checkpoint: {error}")


def _loaded(path: Path) -> Checkpoint:
    record = _record(path)
    if record.get("format") != _FORMAT:
        raise ValueError("it is of another version of featcli")
    Record(_ENTRIES).check(record, "")
    # It was written as it is, so that its arrays take no more memory than it does on the disk.
    arrays = npy.load_archive(path, path.stat().st_size + _SLACK)
    history = tuple(Epoch(**one) for one in record["history"])
    if [one.epoch for one in history] != list(range(1, len(history) + 1)):
        raise ValueError("history must have the epochs from 1 on, each once")
    if record.pop("sha256") != _checksum(record, arrays):
        raise ValueError("it was changed after it was written: its sha256 is another")
    return Checkpoint(record["options"], record["digest"], record["steps"], history, arrays)


def _record(path: Path) -> dict[str, Any]:
    """Read what is no array; raises ValueError or OSError."""
    try:
        with npy.open_archive(path) as archive:
            if archive.getinfo(_RECORD).file_size > _LONGEST:
                raise ValueError("is too long")
            record = json.loads(archive.read(_RECORD))
    except OSError:
        raise
    except Exception as error:  # json fails in many ways on broken data
        raise ValueError(f"{_RECORD}: {error}") from error
    if not isinstance(record, dict):
        raise ValueError(f"{_RECORD} must be a record, not {type(record).__name__}")
    return record


def _checksum(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Return the sha256 of all that is in a checkpoint."""
    found = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
