"""What tests draw from: the strategies that plugins have, too."""

from featcli._index import STAGES
from featcli.testing.strategies import KERNELS, TYPES, arrays, elements, maps, steps, vectors

ALL = sorted(STAGES)

__all__ = ["ALL", "KERNELS", "TYPES", "arrays", "elements", "maps", "steps", "vectors"]
