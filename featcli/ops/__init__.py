"""Stages and layers as functions from array to array, one topic per file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featcli.ops.networks import batch_norm, conv2d, dense, layer_norm, pool2d, softmax

__all__ = ["batch_norm", "conv2d", "dense", "layer_norm", "pool2d", "softmax"]


def __getattr__(name: str) -> Any:
    # Imported late because commands of single stages do not need it.
    if name not in __all__:
        raise AttributeError(f"module 'featcli.ops' has no attribute {name!r}")
    from featcli.ops import networks

    return getattr(networks, name)
