"""What a person can choose when a network is trained, and what each choice may be."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from featcli.models.learning import descent
from featcli.models.learning.augmentation import parse_augmentation
from featcli.models.learning.checks import Flag, Number, OneOf, Record, Rule, Text, Whole
from featcli.models.learning.training import Keep, Recipe
from featcli.models.network import preprocessing

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
        """Read what `to_json` wrote; raises ValueError, which names the entry, for all else."""
        OPTIONS.check(record, "options")
        return cls(data, **(record | {"recipe": Recipe(**record["recipe"])}))


def size_steps(size: str) -> str:
    """Write --size as steps: N is the middle of the picture, RxC the whole of it."""
    if not size:
        return ""
    word = shlex.quote(size)
    return f"resize {word}" if "x" in size.lower() else f"resize {word} | crop {word}"


def check_size(size: str) -> None:
    """Raise ValueError for what is no size, or one larger than a network takes; empty is none."""
    if size:
        preprocessing(size_steps(size))


RECIPE: dict[str, Rule] = {
    "arch": Text(),
    "epochs": Whole(1, 100_000),
    "batch_size": Whole(1, 65_536),
    "lr": Number(0, 1000, above=True),
    "optimizer": OneOf(get_args(descent.Name)),
    "momentum": Number(0, 1),
    "weight_decay": Number(0, 10),
    "schedule": OneOf(get_args(descent.Schedule)),
    "seed": Whole(0, 2**32 - 1),
    "val_split": Number(0, 1),
    "augment": Text(parse_augmentation),
    "keep": OneOf(get_args(Keep)),
    "patience": Whole(0, 100_000),
    "balance": Flag(),
}
OPTIONS = Record(
    {
        "recipe": Record(RECIPE),
        "size": Text(check_size),
        "channels": OneOf(get_args(Channels)),
        "base": Text(),
        "kernels": Text(),
        "strict": Flag(),
    }
)
