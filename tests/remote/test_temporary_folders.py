"""Temporary folders of runs with buckets: one that was killed leaves its own to the next start."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an open file has no other name")
HOLDS = (
    "import time; from featcli.io.remote.temporary import TemporaryFolder; "
    "folder = TemporaryFolder(); print(folder.path, flush=True); "
)


def hold(then: str) -> tuple[subprocess.Popen, Path]:
    """Start a process with a folder of its own, and go on when that is there."""
    words = [sys.executable, "-c", HOLDS + then]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(), text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_the_next_start_takes_away_what_a_killed_run_left_and_nothing_else(temporary):
    from featcli.io.remote.temporary import TemporaryFolder

    others = [temporary / name for name in ("featcli-temporary-other", "featcli-abc", "else")]
    for one in others:  # without a lock nobody can say that they are left
        one.mkdir()
    (temporary / "featcli-temporary-link").symlink_to(others[2])
    killed, left = hold("time.sleep(60)")
    living, held = hold("time.sleep(60)")
    try:
        (left / "x.list").write_bytes(b"many")
        killed.kill()
        killed.communicate(timeout=30)
        assert left.exists()
        folder = TemporaryFolder()
        assert not left.parent.exists()
        assert held.exists()
        folder.close()
        assert not folder.path.parent.exists()
        assert all(one.exists() for one in others)
    finally:
        living.kill()
        living.communicate(timeout=30)


def test_a_process_that_ends_leaves_nothing():
    process, path = hold("pass")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not path.parent.exists()
