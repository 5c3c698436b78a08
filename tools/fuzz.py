"""Feeds made-up bytes to all that reads files from strangers: `pip install 'featcli[fuzz]'`.

    python tools/fuzz.py TARGET [LIBFUZZER ARGUMENTS...]

such as `python tools/fuzz.py image -max_total_time=60`. Anything but a result or an error of
featcli's ends it, and leaves the bytes in a file. Targets: image, array, archive, stream, kernel,
model.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SCRATCH = Path(tempfile.gettempdir()) / "featcli-fuzz"
LIMITS = {"max_pixels": 100_000, "max_memory": 400_000_000}


def image(data: bytes) -> None:
    """Read a picture of any kind, all frames."""
    from featcli.frame import Source
    from featcli.io.options import ReadOptions
    from featcli.io.reading import read_stream

    read_stream(io.BytesIO(data), Source("x"), ReadOptions(frames="all", **LIMITS))


def array(data: bytes) -> None:
    """Read a .npy."""
    from featcli import npy

    npy.read(io.BytesIO(data), len(data))


def archive(data: bytes) -> None:
    """Read an .npz."""
    from featcli import npy

    npy.load_archive(io.BytesIO(data), 1 << 24)


def stream(data: bytes) -> None:
    """Read a tar stream."""
    from featcli.io.options import ReadOptions
    from featcli.io.stream import read_tar

    for _ in read_tar(io.BytesIO(data), ReadOptions(**LIMITS)):
        pass


def kernel(data: bytes) -> None:
    """Read a kernel's file of each kind."""
    from featcli import kernels

    for suffix in (".toml", ".json", ".csv"):
        with contextlib.suppress(ValueError):
            kernels.parse(_written(data, suffix))


def model(data: bytes) -> None:
    """Read a model's file."""
    from featcli.models import files

    files.load(_written(data, ".npz"))


def _written(data: bytes, suffix: str) -> str:
    SCRATCH.mkdir(exist_ok=True)
    path = SCRATCH / f"input{suffix}"
    path.write_bytes(data)
    return str(path)


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (image, array, archive, stream, kernel, model)
}


def attempt(name: str, data: bytes) -> None:
    """Run a target; only what is no error of featcli's is raised."""
    from featcli.errors import FeatError

    with contextlib.suppress(FeatError):
        TARGETS[name](data)


def main(name: str, arguments: list[str]) -> None:
    """Let atheris make up bytes."""
    import atheris

    with atheris.instrument_imports(include=["featcli", "zipfile", "tarfile"]):
        attempt(name, b"")
    atheris.Setup([sys.argv[0], *arguments], lambda data: attempt(name, bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in TARGETS:
        main(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(__doc__)
