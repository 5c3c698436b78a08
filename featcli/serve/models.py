"""The models that the page offers: included ones, those of the command line, and uploaded ones."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featcli.errors import FeatError, UsageError
from featcli.models.files import ModelError
from featcli.models.loading import DEFAULT, load_model, shipped
from featcli.models.model import Model

_SENT = 3  # uploaded models that are kept


class Models:
    """Models by id; ids are not paths, so that a request can only name these models.

    Parameters
    ----------
    paths : sequence of str
        Models from the command line, which are loaded immediately.
    """

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self._given: dict[str, Model] = {}
        for path in paths:
            model = load_model(path)
            model.check_classifies()
            self._given[Path(path).name] = model
        self._sent: OrderedDict[str, tuple[str, Model, Path]] = OrderedDict()

    def listed(self) -> list[dict[str, str]]:
        """Return the models as `id` and `name`, the default one first."""
        own = [{"id": f"given:{name}", "name": name} for name in self._given]
        names = sorted(shipped(), key=lambda name: (name != DEFAULT, name))
        return [*own, *({"id": f"shipped:{name}", "name": name} for name in names)]

    def get(self, key: str) -> Model:
        """Return a model; raises UsageError for an unknown id."""
        kind, _, name = key.partition(":")
        if kind == "shipped" and name in shipped():
            return load_model(name)
        if kind == "given" and name in self._given:
            return self._given[name]
        if kind == "sent" and name in self._sent:
            return self._sent[name][1]
        raise UsageError("no such model is offered: choose one of the list, or send its file again")

    def add(self, data: bytes, name: str, folder: Path) -> dict[str, Any]:
        """Load an uploaded model; if there are too many, the oldest is removed."""
        digest = hashlib.sha256(data).hexdigest()[:32]
        if digest not in self._sent:
            path = folder / f"{digest}{'.npz' if data[:2] == b'PK' else '.onnx'}"
            path.write_bytes(data)
            try:
                model = load_model(path)
                model.check_classifies()
            except (FeatError, ModelError, ValueError) as error:
                path.unlink()
                reason = str(error).replace(str(path), name)
                raise FeatError(reason if name in reason else f"{name}: {reason}") from None
            self._sent[digest] = (name, model, path)
            while len(self._sent) > _SENT:
                _, (_, _, old) = self._sent.popitem(last=False)
                old.unlink(missing_ok=True)
        return {"id": f"sent:{digest}", "name": name}
