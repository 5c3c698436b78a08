"""The error message for a training that needs too much memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from featcli.datasets.items import DataError


@contextlib.contextmanager
def bounded(batch_size: int) -> Iterator[None]:
    """Turn a MemoryError in the `with` block into a DataError that says what to lower."""
    try:
        yield
    except MemoryError as error:
        raise DataError(
            f"there is not enough memory: lower --batch-size ({batch_size}), give a smaller "
            "--size, or an --arch with fewer parameters"
        ) from error
