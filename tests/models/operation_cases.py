"""Texts of networks with every layer that there is, found in the registry by themselves."""

from __future__ import annotations

import numpy as np

from featcli import stage as stages
from featcli.models import operations
from featcli.models.network import Network
from featcli.models.operations.registry import ACTIVATIONS, EARLIER, STAGE_LAYERS

LAYERS = sorted([*stages.LEARNED, *STAGE_LAYERS])


# What is tried of each kind of parameter; a new kind needs a line.
_TRIED = {
    "N": ["1", "2", "4"],
    "N|RxC": ["1", "3", "2x3"],
    "same|N": ["same", "0", "1"],
    "NAME": None,
    "X": ["0.1", "0.3"],
}


def arguments(name: str, random: np.random.Generator) -> str:
    """Words and options of a layer, drawn from what its declaration allows."""
    words = []
    for param in operations.find(name).params:
        if not param.required and random.random() < 0.5:
            continue
        if param.flag:
            words.append(param.option)
            continue
        value = str(random.choice(_values(param)))
        words += [value] if param.word else [param.option, value]
    return " ".join(words)


def _values(param) -> list[str]:
    if param.choices:
        return list(param.choices)
    if param.converter is EARLIER:
        return ["first", "second"]
    if param.name == "activation":
        return ["none", *ACTIVATIONS]
    return _TRIED[param.converter.metavar]


def cases(name: str, count: int = 8) -> list[tuple[str, tuple[int, ...]]]:
    """Texts in which a layer stands between others, and the shape that each takes."""
    random = np.random.default_rng(sum(map(ord, name)))
    takes = operations.find(name).takes
    found = []
    for attempt in range(200):
        vector = takes == "vector" or (takes == "any" and attempt % 2 == 1)
        rows = tuple(int(n) for n in random.integers(3, 8, 2))
        shape = (6,) if vector else (*rows, 2)
        before = "dense 4" if vector else "conv 4 1"
        tested = f"{name} {arguments(name, random)} --name tested"
        text = f"{before} --name first | {before} --name second | {tested}"
        try:
            Network(text, shape)
        except ValueError:
            continue
        found.append((text, shape))
        if len(found) == count:
            return found
    raise AssertionError(f"{name} fits nowhere: {found}")
