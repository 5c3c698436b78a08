"""What a person can choose when a network is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from featcli.models.learning.training import Recipe

Channels = Literal["auto", "gray", "RGB"]


@dataclass(frozen=True)
class Options:
    """Everything that decides what comes of the same data.

    Attributes
    ----------
    data : str
        See `featcli.datasets.opening`.
    recipe : Recipe
    size : str
        What images are brought to: `N`, `RxC`, or empty for those that are of one size.
    channels : {"auto", "gray", "RGB"}
        auto: as the first image has them.
    base : str
        The model whose layers, but for its last dense one, come before the network; or empty.
    kernels : str
        Kernels whose answers come before the network, or empty.
    strict : bool
        Refuse the data for one image that cannot be read.
    """

    data: str
    recipe: Recipe
    size: str = ""
    channels: Channels = "auto"
    base: str = ""
    kernels: str = ""
    strict: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what `json` can write, without where the data lies."""
        record = asdict(self)
        del record["data"]
        return record

    @classmethod
    def from_json(cls, data: str, record: dict[str, Any]) -> Options:
        """Read what `to_json` wrote; raises ValueError or TypeError."""
        recipe = _like(Recipe(""), record.pop("recipe"))
        return _like(cls(data, recipe), record)


Kept = TypeVar("Kept", Recipe, Options)


def _like(kept: Kept, values: dict[str, Any]) -> Kept:
    """Replace fields by values of the same type; raises TypeError for others."""
    for name, value in values.items():
        wanted = type(getattr(kept, name, None))
        if not isinstance(value, wanted):
            raise TypeError(f"{name} is {value!r}, no {wanted.__name__}")
    return replace(kept, **values)
