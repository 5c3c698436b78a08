"""The operations of networks, one a file: this package is their registry.

Every module here that has no leading underscore is imported, and declares its layers. To add one,
add a file; see `base` for what an operation says of itself.
"""

from importlib import import_module
from pkgutil import iter_modules

from featcli.models.operations.base import Layer, Operation, Part, Shape
from featcli.models.operations.registry import build, find

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}")

__all__ = ["Layer", "Operation", "Part", "Shape", "build", "find"]
