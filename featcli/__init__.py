"""Extract features from images the way a convolutional network does.

Every stage is a function on NumPy arrays, named as its command with underscores for dashes:

>>> import featcli
>>> edges = featcli.convolve(x, "vertical")
>>> halved = featcli.pool(featcli.relu(edges), 2)

`read` and `write` turn files into `Frame`s and back, and `Pipeline("convolve vertical | relu")`
runs several stages on one. `recover` reads the values of a feature map back from its picture.
Modules are imported when a name of theirs is first used.
"""

from typing import Any

from featcli._index import STAGES
from featcli._version import __version__

_EXPORTS = {
    "FeatError": "featcli.errors",
    "Frame": "featcli.frame",
    "Network": "featcli.models.network",
    "Pipeline": "featcli.pipeline",
    "Source": "featcli.frame",
    "Step": "featcli.frame",
    "explain_plan": "featcli.ops.convolution",
    "load_model": "featcli.models.loading",
    "read": "featcli.io.files",
    "recover": "featcli.io.files",
    "save_model": "featcli.training.saving",
    "write": "featcli.io.files",
}
_EXPORTS_ALL = _EXPORTS | {
    name.replace("-", "_"): f"featcli.{module}" for name, (module, _) in STAGES.items()
}

__all__ = ["__version__", *_EXPORTS_ALL]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _EXPORTS_ALL:
        raise AttributeError(f"module 'featcli' has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS_ALL[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
