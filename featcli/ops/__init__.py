"""What a network computes, array to array, one idea a file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featcli.ops.networks import batch_norm, conv2d, dense, layer_norm, pool2d, softmax

__all__ = ["batch_norm", "conv2d", "dense", "layer_norm", "pool2d", "softmax"]


def __getattr__(name: str) -> Any:
    # Commands of single stages start without the functions of networks.
    if name not in __all__:
        raise AttributeError(f"module 'featcli.ops' has no attribute {name!r}")
    from featcli.ops import networks

    return getattr(networks, name)
