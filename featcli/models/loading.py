"""Load a model by its name or from its file, optionally with other labels or preprocessing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from featcli.errors import nearest
from featcli.frame import Array
from featcli.models.files import Description, identity, load
from featcli.models.labels import labels_reference
from featcli.models.model import Model
from featcli.models.network import sizes
from featcli.models.operations import Shape
from featcli.models.references import parted
from featcli.stage import one_of

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "models"
DEFAULT = "imagenet"
Engine = Literal["auto", "onnxruntime"]
Device = Literal["cpu", "cuda"]
_completed = lru_cache(maxsize=4)(Model.completed)


def load_model(
    name_or_path: str | os.PathLike[str] = DEFAULT,
    *,
    labels: str | os.PathLike[str] = "",
    preprocessing: str = "",
    input_shape: str | Sequence[int] = "",
    engine: str = "auto",
    device: str = "cpu",
) -> Model:
    """Load a model that ships with featcli by its name, or any by the path of its file.

    Parameters
    ----------
    name_or_path : str or path
        A name has no slash and no suffix; .onnx needs the extra `onnx`. With `NAME#SHA256`, as in
        a history, the model must have this hash: the first 16 digits of the sha256 of everything
        that its results depend on (for .onnx: the file, its data files and the .json beside it).
    labels : str or path, optional
        A file with the names of the classes, instead of the model's own: text with one name per
        line, or a JSON list (.json).
    preprocessing : str, optional
        A pipeline from an image to the network's input, instead of the model's own, such as
        `resize 256 | crop 224 | normalize 127 128`.
    input_shape : str or sequence of int, optional
        Rows, columns and channels, or the number of values, if an .onnx does not fix them:
        `224x224x3` or (224, 224, 3).
    engine : {"auto", "onnxruntime"}
        auto runs featcli's models by featcli, and .onnx by onnxruntime; onnxruntime runs all
        models, and exports featcli's first. It needs the extra `onnx`.
    device : {"cpu", "cuda"}
        The device that onnxruntime uses.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        The file is damaged or invalid.
    UsageError
        A package or the device is not available.
    ValueError
        There is no such model, its hash does not match, or labels or preprocessing are invalid.
    """
    name, expected = parted(os.fspath(name_or_path))
    path = path_of(name)
    one_of(Engine, engine=engine)
    one_of(Device, device=device)
    if device != "cpu" and engine == "auto" and not is_onnx(path):
        raise ValueError(
            f"{device} needs engine onnxruntime: featcli's own engine, which runs the model "
            f"{name}, only uses the CPU"
        )
    shape = parse_shape(input_shape)
    model = _loaded(str(path), name, _states(path), shape, engine, device)
    if expected and not model.reference.endswith(f"#{expected}"):
        raise ValueError(
            f"the model {name} has other weights, labels or preprocessing than that of {expected}"
        )
    names = labels_reference(labels) if labels else ""
    return _completed(model, names, preprocessing)


def name_of(reference: str) -> str:
    """Return the name of a model for file names."""
    return Path(parted(reference)[0]).stem


def parse_shape(given: str | Sequence[int]) -> Shape:
    """Parse rows, columns and channels, such as 224x224x3, or the number of values."""
    pieces = given.lower().split("x") if isinstance(given, str) else [str(one) for one in given]
    if not given:
        return ()
    if len(pieces) not in (1, 3) or not all(one.isascii() and one.isdigit() for one in pieces):
        raise ValueError(f"{given!r} is not a shape: give ROWSxCOLSxCHANNELS, such as 224x224x3")
    shape = tuple(map(int, pieces))
    if 0 in shape:
        raise ValueError(f"{given!r} is an empty shape: every size is 1 or more")
    return shape


def _states(path: Path) -> tuple[tuple[int, int], ...]:
    """Return times and sizes of a model's files; they change whenever one of the files does."""
    files = [path]
    if is_onnx(path):
        from featcli.models import onnx_file

        files = [*onnx_file.files(path), path.with_suffix(".json")]
    found = [file.stat() for file in files if file.is_file()]
    return tuple((one.st_mtime_ns, one.st_size) for one in found)


@lru_cache(maxsize=2)
def _own(path: str, _states: tuple[tuple[int, int], ...]) -> tuple[Description, dict[str, Array]]:
    """Read one of featcli's model files; cached, also for other labels or engines."""
    return load(path)


@lru_cache(maxsize=4)
def _loaded(
    path: str,
    name: str,
    _states: tuple[tuple[int, int], ...],
    shape: Shape,
    engine: str,
    device: str,
) -> Model:
    given = {"input_shape": sizes(shape), "engine": engine, "device": device}
    if is_onnx(path):
        from featcli.models import onnx, onnx_file

        description, runner = onnx.load(Path(path), shape, device)
        runner.check_device()
        reference = f"{name}#{onnx_file.identity(Path(path))[:16]}"
        return Model(description, {}, reference, runner, given)
    description, weights = _own(path, _states)
    if shape not in ((), description.network.input):
        raise ValueError(
            f"the model {name} takes {sizes(description.network.input)}, not {sizes(shape)}: an "
            "input shape is only for an .onnx whose input size is not fixed"
        )
    model = Model(description, weights, f"{name}#{identity(description)[:16]}", given=given)
    if engine == "onnxruntime":
        from featcli.models.sessions import Exported

        model.runner = exported = Exported(model, device)
        exported.check_device()
    return model


def path_of(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of a model's file; raises ValueError if there is none."""
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.suffix == "" and "/" not in text and os.sep not in text:
        own, path = path, SHIPPED / f"{text}.npz"
        if not path.is_file():
            if own.is_file():
                return own
            known = shipped()
            near = nearest(text, known) or f": there are {', '.join(known)}"
            raise ValueError(f"no model {text!r}{near} (or give the path of an .npz or .onnx file)")
    elif not path.is_file():
        raise ValueError(f"no model file {text!r}")
    return path


def is_onnx(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is an ONNX model, by its name."""
    return os.fspath(path).lower().endswith(".onnx")


def shipped() -> list[str]:
    """Return the names of the models that ship with featcli."""
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))
