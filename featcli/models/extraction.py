"""Feature extraction: several layers of a model in one pass, for whole pictures or tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from featcli.errors import StageError
from featcli.frame import Frame, Step
from featcli.models.loading import load_model
from featcli.models.stages import LONGEST_VECTOR, flat, maps
from featcli.models.tiling import Tiling
from featcli.pipeline import Pipeline


class Extraction(Pipeline):
    """A pipeline that returns the vectors of several layers, each as a part of the image's result.

    Parameters
    ----------
    model : str
        A name or a path.
    layers : sequence of str
    given : mapping of str to str
        Further arguments of `load_model`.
    after : sequence of Step
        Steps that are run on each vector.
    as_maps : bool
        Return maps, without flattening them.
    tiling : Tiling, optional
        Run the model on every tile of the picture, instead of the whole picture.

    Raises
    ------
    ValueError
        The model has no such layer.
    """

    def __init__(
        self,
        model: str,
        layers: Sequence[str],
        given: Mapping[str, str],
        after: Sequence[Step] = (),
        as_maps: bool = False,
        tiling: Tiling | None = None,
    ) -> None:
        self._model = load_model(model, **given)
        self._layers = tuple(dict.fromkeys(layers))
        for layer in self._layers:
            self._model.check_layer(layer)
        if as_maps:
            self._check_maps()
        known = self._model.params
        del known["labels"]
        model = known.pop("model")
        self._after, self._as_maps, self.tiling = tuple(after), as_maps, tiling
        stage = "feature-maps" if as_maps else "features"
        self._pipelines = [
            (Step.of(stage, model=model, layer=one, **known), *self._after) for one in self._layers
        ]
        super().__init__(self._pipelines[0])

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._model.params
        return type(self), (
            given.pop("model"), self._layers, given, self._after, self._as_maps, self.tiling
        )  # fmt: skip

    def for_workers(self) -> list[Any]:
        """See `Pipeline.for_workers`."""
        made = self._model.for_workers(self._layers)
        return [made] if made else []

    def _check_maps(self) -> None:
        for row in self._model.layers:
            if row.name in self._layers and len(row.shape) == 1:
                raise ValueError(
                    f"{row.name} gives a vector of {row.shape[0]} values: leave --maps out"
                )

    def _run(self, frame: Frame) -> list[Frame]:
        try:
            results = [one for tile in self._tiles(frame) for one in self._of(tile)]
        except ValueError as error:
            raise StageError(f"features: {error}") from error
        for step in self._after:
            results = [result for one in results for result in self._apply(step, one)]
        return results

    def _of(self, frame: Frame) -> Iterator[Frame]:
        """Yield the results of all layers for a picture or a tile."""
        found = self._model.outputs(self._model.prepare(frame.data), self._layers)
        for layer, steps, part in zip(self._layers, self._pipelines, self._parts(), strict=True):
            data = maps(found[layer], layer) if self._as_maps else flat(found[layer])
            yield frame.replace(
                data=data, labels=(), part=_joined(frame.part, part),
                history=(*frame.history, steps[0]),
            )  # fmt: skip

    def _tiles(self, frame: Frame) -> Iterator[Frame]:
        """Yield the tiles of a picture; without a tiling, the picture itself."""
        if self.tiling is None:
            yield frame
            return
        if frame.kind != "maps":
            raise ValueError("a vector has no tiles: leave out --tile")
        for tile in self.tiling.tiles(*frame.data.shape[:2]):
            yield frame.replace(
                data=tile.of(frame.data), part=_joined(frame.part, tile.name),
                history=(*frame.history, tile.step),
            )  # fmt: skip

    def _parts(self) -> Iterable[str]:
        return self._layers if self.has_several_vectors else ("",)

    def decode_size(self, rows: int, cols: int) -> tuple[int, int, str] | None:
        """See `Pipeline.decode_size`; tiles need the picture at full size."""
        return None if self.tiling else super().decode_size(rows, cols)

    def memory(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """See `Pipeline.memory`; the results of all tiles are in memory at once."""
        if not self.tiling or len(shape) < 2:
            return super().memory(shape, dtype)
        tile = (*self.tiling.size, *shape[2:])
        try:
            count = len(self.tiling.tiles(*shape[:2]))
        except ValueError:
            count = 1
        shapes = {row.name: row.shape for row in self._model.layers}
        values = sum(math.prod(shapes.get(one) or (LONGEST_VECTOR,)) for one in self._layers)
        return super().memory(tile, dtype) + 4 * count * values

    @property
    def recipe(self) -> tuple[Step, ...]:
        """All steps, as the outputs record them."""
        tiled = [Step.of("tile", **self.tiling._asdict())] if self.tiling else []
        return (*tiled, *(steps[0] for steps in self._pipelines), *self._after)

    @property
    def about(self) -> dict[str, Any]:
        """See `Pipeline.about`; with several layers there is a pipeline for each."""
        texts = {
            layer: str(Pipeline(steps))
            for layer, steps in zip(self._layers, self._pipelines, strict=True)
        }
        several = self.has_several_vectors
        made: dict[str, Any] = (
            {"pipelines": texts} if several else {"pipeline": texts[self._layers[0]]}
        )
        if self.tiling:
            made |= {"tile": list(self.tiling.size), "stride": list(self.tiling.stride)}
        return made | {"model": self._model.about, "layers": list(self._layers)}

    @property
    def splits(self) -> bool:
        """Whether one image gives several results."""
        return self.has_several_vectors or self.tiling is not None

    @property
    def has_several_vectors(self) -> bool:
        """See `Pipeline.has_several_vectors`."""
        return len(self._layers) > 1

    def outline(self, frame: Frame) -> list[tuple[str, tuple[Step, ...]]]:
        """Return part and history of each result; none if no tile fits into the picture."""
        try:
            tiles = list(self._tiles(frame))
        except ValueError:
            return []
        return [
            (_joined(tile.part, part), (*tile.history, *steps))
            for tile in tiles
            for part, steps in zip(self._parts(), self._pipelines, strict=True)
        ]


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))
