"""What a person can do when the memory is too small for a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from featcli.datasets.items import DataError


@contextlib.contextmanager
def bounded(batch_size: int) -> Iterator[None]:
    """Say in a line what to lower when the memory does not suffice."""
    try:
        yield
    except MemoryError as error:
        raise DataError(
            f"the memory does not suffice: lower --batch-size ({batch_size}), give a smaller "
            "--size, or an --arch with fewer numbers"
        ) from error
