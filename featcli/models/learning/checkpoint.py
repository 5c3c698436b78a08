"""What a later run needs to go on as if there had been no pause: an .npz beside the model."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from featcli import npy
from featcli.errors import FeatError, ReadError
from featcli.models.learning.layer import Array
from featcli.models.learning.training import Epoch, Training

_RECORD = "checkpoint.json"
_LONGEST = 1 << 24
_FORMAT = 1


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
    writer = npy.ArchiveWriter(stream)
    writer.write_text(_RECORD, json.dumps(record, indent=1).encode())
    for name, array in training.state().items():
        writer.write(name, array)
    writer.close()


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; raises CheckpointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_RECORD).file_size > _LONGEST:
                raise ValueError(f"its {_RECORD} is too long")
            record = json.loads(archive.read(_RECORD))
        if record["format"] != _FORMAT:
            raise ValueError("it is of another version of featcli")
        history = tuple(Epoch(**one) for one in record["history"])
        arrays = npy.load_archive(path)
        return Checkpoint(
            dict(record["options"]), str(record["digest"]), int(record["steps"]), history, arrays
        )
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except (
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
        zipfile.BadZipFile,
        ReadError,
    ) as error:
        raise CheckpointError(f"{path}: no sound checkpoint: {error}") from error
