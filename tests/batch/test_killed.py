"""Signals, SIGKILL at random moments, a full disk: nothing half-done, and the next run goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from batch_tools import (
    arrays_in,
    children_of,
    is_alive,
    leftovers,
    rows_of,
    save_images,
    wait_for,
)

COUNT = 60
LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")


@pytest.fixture
def images(workspace, inline):
    """A folder, and what a run that nothing disturbs makes of it."""
    save_images(workspace / "in", COUNT, side=120)
    assert inline("relu", "in", "-o", "clean", "-j", "1").returncode == 0
    return arrays_in(workspace / "clean")


def assert_sound(folder, images):
    """Under final names there is nothing but what a clean run makes, and the manifest is one."""
    found = arrays_in(folder)
    assert all(images[name] == data for name, data in found.items())
    for line in (folder / "manifest.jsonl").read_bytes().splitlines()[:-1]:
        assert line.startswith(b'{"key"')
        assert line.endswith(b"}")


@LINUX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_and_all_its_workers(name, images, workspace, started, inline):
    number = getattr(signal, name)
    process = started("relu", "in", "-o", "out", "-j", "2")
    wait_for(lambda: len(list((workspace / "out").glob("*.npy"))) > 5)
    workers = children_of(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    wait_for(lambda: not any(map(is_alive, workers)), 60)
    assert_sound(workspace / "out", images)
    assert leftovers(workspace / "out") == []
    assert len(rows_of("out/manifest.jsonl")) < COUNT
    assert inline("relu", "in", "-o", "out").returncode == 0
    assert arrays_in(workspace / "out") == images


@LINUX
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 2, 3, 4, 5))]
)
def test_sigkill_at_any_moment_is_made_good_by_the_next_run(
    seed, images, workspace, started, inline
):
    chance = random.Random(seed)
    more = ["--no-sidecar"] if seed % 2 else []
    for _ in range(2):
        process = started("relu", "in", "-o", "out", "-j", "2", *more)
        wait_for(lambda: (workspace / "out").exists())
        workers = children_of(process.pid)
        time.sleep(chance.random() * 0.6)
        process.kill()
        process.communicate()
        wait_for(lambda ours=workers: not any(map(is_alive, ours)))
    done = inline("relu", "in", "-o", "out", *more)
    assert done.returncode == 0, done.stderr
    assert arrays_in(workspace / "out") == images
    assert leftovers(workspace / "out") == []
    assert [row["status"] for row in rows_of("out/manifest.jsonl")] == ["done"] * COUNT
    again = inline("relu", "in", "-o", "out", *more)
    assert again.stderr == f"featcli relu: 0 done, {COUNT} skipped, 0 failed\n"


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("output", ["t.csv", "t.npz", "t-%d.tar"])
@pytest.mark.parametrize("seed", range(2))
def test_a_table_or_shards_killed_are_completed_to_the_same_bytes(
    output, seed, workspace, started, inline
):
    save_images(workspace / "in", COUNT, side=120)
    stages = ["run", "pool 4 | flatten", "in", "-j", "2"]
    stages += ["--shard-size", "60KB"] if output.endswith("tar") else []
    made, clean = workspace / "made", workspace / "clean"
    made.mkdir(), clean.mkdir()
    assert inline(*stages, "-o", f"clean/{output}").returncode == 0
    chance = random.Random(seed)
    for _ in range(2):
        process = started(*stages, "-o", f"made/{output}")
        time.sleep(0.5 + chance.random() * 0.6)
        process.kill()
        process.communicate()
    done = inline(*stages, "-o", f"made/{output}")
    assert done.returncode == 0, done.stderr
    for path in clean.iterdir():
        if path.is_file() and not path.name.endswith(".jsonl"):
            assert (made / path.name).read_bytes() == path.read_bytes()
    assert {one.name for one in made.iterdir()} == {one.name for one in clean.iterdir()}


@pytest.fixture
def small_disk(disk):
    """A disk of 300 kilobytes."""
    return disk("300k")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", ["out", "t.csv", "x.tar", "x-%d.tar"])
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    name, jobs, workspace, inline, small_disk
):
    save_images(workspace / "in", 40, side=120)
    command = ["run", "pool 2 | flatten", "in", "-j", jobs]
    command += ["--shard-size", "100KB"] if "%" in name else []
    done = inline(*command, "-o", small_disk / name)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"cannot write {small_disk}/" in line
    assert "No space left on device" in line
    assert leftovers(small_disk) == []
    for path in small_disk.rglob("*.npy"):
        assert path.stat().st_size == 10928
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert inline(*command, "-o", small_disk / name).returncode == 0
    large_disk = small_disk.with_name("large")
    large_disk.mkdir()
    inline(*command, "-o", large_disk / name)
    assert arrays_in(small_disk) == arrays_in(large_disk)
    for path in large_disk.glob(name.replace("%d", "*") if name != "out" else "nothing"):
        assert (small_disk / path.name).read_bytes() == path.read_bytes()
