"""Networks with names, and texts that show the shapes in a network."""

from __future__ import annotations

import math

from featcli import pipeline
from featcli.errors import UsageError
from featcli.models.network import Network, find, sizes
from featcli.models.operations import Shape

_TAIL = "dense {classes} --name scores | softmax --name probabilities"
_TINY = "conv 10 3 --padding 0 | relu"
NAMED = {
    # The fully connected network of the article: every pixel is an input.
    "dense": f"flatten | dense 128 --name hidden | relu | {_TAIL}",
    # LeCun et al., Gradient-based learning applied to document recognition, 1998, but with ReLU and
    # max pooling, as is usual today.
    "lenet": "conv 6 5 | relu | pool 2 | conv 16 5 --padding 0 | relu | pool 2 | flatten | "
    f"dense 120 --name hidden | relu | dense 84 --name hidden2 | relu | {_TAIL}",
    # The network of CNN Explainer: Wang et al., IEEE TVCG, 2021.
    "tiny-vgg": f"{_TINY} | {_TINY} | pool 2 | {_TINY} | {_TINY} | pool 2 | flatten | {_TAIL}",
}
DEFAULT = "lenet"
HEAD = _TAIL


def build(arch: str, shape: Shape, classes: int) -> Network:
    """Return a network for inputs of a shape.

    Parameters
    ----------
    arch : str
        A name, or the text of a network.
    shape : tuple of int
        Shape of the input: (rows, cols, channels) or (n,).
    classes : int

    Returns
    -------
    Network
        It ends in softmax or sigmoid.

    Raises
    ------
    UsageError
        A layer does not accept its input (the message shows the shapes before it), or the last
        layers do not give a value for each class.
    """
    text = NAMED[arch].format(classes=classes) if arch in NAMED else arch
    try:
        network = Network(text, shape)
    except ValueError as error:
        raise UsageError(f"--arch: {error}{_trail(text, shape)}") from None
    _check_end(network, classes)
    return network


def _check_end(network: Network, classes: int) -> None:
    *_, last = network.operations
    loss, shape, name = last.operation.loss, network.shape, last.operation.kind
    if loss is None or len(network.nodes) < 2 or len(shape) != 1:
        raise UsageError("--arch: must end in 'dense N | softmax' or 'dense N | sigmoid'")
    before = network.nodes[-2].operations[-1]
    if not before.operation.weighs:
        raise UsageError(f"--arch: put 'dense {classes}' before the {name} at the end")
    if before.activation:
        raise UsageError(f"--arch: only {name} may follow the last dense layer")
    wanted = (classes, 1) if loss.is_mean and classes == 2 else (classes,)
    if shape[0] not in wanted:
        raise UsageError(
            f"--arch: gives {shape[0]} scores, but the data has {classes} classes: "
            f"end in 'dense {wanted[-1]} | {name}'"
        )


def _trail(text: str, shape: Shape) -> str:
    """Return the shapes after the layers before the first one that does not fit, for a message."""
    try:
        steps = pipeline.parse(text, find)
    except UsageError:
        return ""
    for count in range(len(steps) - 1, 0, -1):
        start = " | ".join(" ".join(pipeline.words(step, find)) for step in steps[:count])
        try:
            return f" ({shapes(Network(start, shape))} | {steps[count].stage} ?)"
        except ValueError:
            continue
    return f" ({sizes(shape)} | {steps[0].stage} ?)"


def shapes(network: Network) -> str:
    """Return the shape after each layer, such as `28x28x1 | conv 26x26x8 | relu 26x26x8`."""
    after = [f"{node.step.stage} {sizes(node.shape)}" for node in network.nodes]
    return " | ".join([sizes(network.input), *after])


def parameters(network: Network) -> int:
    """Return the number of weights of a network."""
    return sum(math.prod(shape) for shape in network.weights.values())
