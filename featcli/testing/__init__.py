"""Tests that every stage must pass, for authors of plugins; they need pytest and hypothesis.

To test a plugin, derive a class:

>>> from featcli.testing import StageLaws
>>> class TestMedian(StageLaws):
...     names = ("median",)
"""

from featcli.testing.laws import StageLaws
from featcli.testing.strategies import TYPES, arrays, elements, maps, steps, vectors

__all__ = ["TYPES", "StageLaws", "arrays", "elements", "maps", "steps", "vectors"]
