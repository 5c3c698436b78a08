"""The options of training, and rules to check them."""

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
    """The options of `featcli train` that the result depends on.

    Attributes
    ----------
    data : str
        See `featcli.datasets.opening`.
    recipe : Recipe
    size : str
        The size that images are resized to: `N` or `RxC`; empty if all have the same size already.
    channels : {"auto", "gray", "RGB"}
        auto uses the channels of the first image.
    base : str
        A model whose layers before its last dense one come before the network; or empty.
    kernels : str
        Kernels whose responses are the input of the network; or empty.
    strict : bool
        Fail if an image cannot be read, instead of skipping it.
    """

    data: str
    recipe: Recipe
    size: str = ""
    channels: Channels = "auto"
    base: str = ""
    kernels: str = ""
    strict: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON, without the data's path."""
        record = asdict(self)
        del record["data"]
        return record

    @classmethod
    def from_json(cls, data: str, record: dict[str, Any]) -> Options:
        """Make options from what `to_json` returns; raises ValueError that names a wrong entry."""
        OPTIONS.check(record, "options")
        return cls(data, **(record | {"recipe": Recipe(**record["recipe"])}))


def size_steps(size: str) -> str:
    """Return --size as steps: N resizes and crops the middle, RxC resizes the whole picture."""
    if not size:
        return ""
    word = shlex.quote(size)
    return f"resize {word}" if "x" in size.lower() else f"resize {word} | crop {word}"


def check_size(size: str) -> None:
    """Raise ValueError if a size is invalid or too large; an empty text is allowed."""
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
