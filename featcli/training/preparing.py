"""The preprocessing of images for training."""

from __future__ import annotations

import numpy as np

from featcli.datasets.gathering import Fit
from featcli.datasets.items import DataError, Source
from featcli.errors import ReadError
from featcli.frame import Array
from featcli.models.learning.product import Preparation
from featcli.models.network import preprocessing
from featcli.models.pixels import with_channels
from featcli.training.options import Options, size_steps


def first_image(source: Source) -> tuple[str, Array]:
    """Return the first image that can be read, and its name; raises DataError."""
    reason = "the data holds no images"
    for item in source:
        try:
            return item.name, item.read()
        except ReadError as error:
            reason = str(error)
    raise DataError(reason)


def preparation(source: Source, options: Options) -> tuple[Preparation, Fit]:
    """Choose the preprocessing by the first image and the options.

    Returns
    -------
    preparation : Preparation
        For the model file.
    fit : callable
        Preprocesses an image, without normalization.

    Raises
    ------
    DataError
        `fit` raises it for an image in colour if the first one is grey.
    """
    name, image = first_image(source)
    channels = options.channels
    if channels == "auto":
        channels = "RGB" if image.shape[2] > 2 else "gray"
    steps = size_steps(options.size) or "resize {}x{}".format(*image.shape[:2])
    try:
        resized = preprocessing(steps)
    except ValueError as error:
        raise DataError(f"{name}: {error}: give --size N or RxC") from error

    def fit(one: Array) -> Array:
        if options.channels == "auto" and channels == "gray" and one.shape[2] > 2:
            raise DataError(
                f"{name} is grey, but others are in colour: give --channels gray or --channels RGB"
            )
        maps = with_channels(one, channels, has_layout=False)
        if not options.size:
            return maps
        return np.ascontiguousarray(resized(maps).data)

    return Preparation(steps, channels, source.top), fit
