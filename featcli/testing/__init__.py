"""The laws that hold for every stage, for whoever writes one: needs pytest and hypothesis.

A test of a plugin is a class:

>>> from featcli.testing import StageLaws
>>> class TestMedian(StageLaws):
...     names = ("median",)
"""

from featcli.testing.laws import StageLaws
from featcli.testing.strategies import TYPES, arrays, elements, maps, steps, vectors

__all__ = ["TYPES", "StageLaws", "arrays", "elements", "maps", "steps", "vectors"]
