"""A server for all tests of a process, a bucket for each test, and a proxy where it is wanted."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore")
pytest.importorskip("moto.server")

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "batch")]

from stores import Bucket, Moto, Proxy, environment  # noqa: E402

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.stop()


@pytest.fixture
def bucket(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of its own; the environment of featcli leads there."""
    for name, value in environment(moto.endpoint).items():
        monkeypatch.setenv(name, value)
    return Bucket(moto.endpoint, f"bucket-{next(_NUMBERS)}")


@pytest.fixture
def proxy(moto: Moto, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server; the environment of featcli leads there."""
    found = Proxy(moto.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
    yield found
    found.close()


@pytest.fixture
def photos(workspace: Path, bucket: Bucket) -> Path:
    """A folder of small pictures, `photos/`, which is in the bucket, too."""
    from batch_tools import save_images

    folder = workspace / "photos"
    save_images(folder, 12)
    save_images(folder / "sub", 4, seed=1)
    (folder / "a.jpg").write_bytes((workspace / "photo.jpg").read_bytes())
    (folder / "a.png").write_bytes((workspace / "one.png").read_bytes())
    (folder / "notes.txt").write_text("no picture")
    bucket.put_folder(folder, "photos")
    return folder
