"""The operations of networks, one topic per file.

All modules without a leading underscore are imported here, which registers their layers. To add an
operation, add a file; `base` describes what it has to define.
"""

from importlib import import_module
from pkgutil import iter_modules

from featcli.models.operations.base import Layer, Operation, Part, Shape
from featcli.models.operations.registry import build, find

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}")

__all__ = ["Layer", "Operation", "Part", "Shape", "build", "find"]
