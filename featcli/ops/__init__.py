"""What a network computes, array to array, one idea a file."""

from featcli.ops.networks import batch_norm, conv2d, dense, layer_norm, pool2d, softmax

__all__ = ["batch_norm", "conv2d", "dense", "layer_norm", "pool2d", "softmax"]
