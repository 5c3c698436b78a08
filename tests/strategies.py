"""What tests draw from: the strategies that plugins have, too."""

from featcli._index import STAGES
from featcli.stage import OF_MODELS
from featcli.testing.strategies import KERNELS, TYPES, arrays, elements, maps, steps, vectors

ALL = sorted({*STAGES}.difference(OF_MODELS))

__all__ = ["ALL", "KERNELS", "TYPES", "arrays", "elements", "maps", "steps", "vectors"]
