"""Shards as the unit of work, and the folder of Parquet that they give."""

from __future__ import annotations

import io
import json
import signal
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from batch_tools import summary
from PIL import Image

FLAT = ("run", "rgb | resize 4x4 | flatten")
PARTS = ("-o", "vectors/", "--format", "parquet")
RANGE = "shards/x-{000..003}.tar"


def save_shard(path: Path, number: int, count: int = 6, broken: bool = False) -> None:
    """Write a shard of WebDataset's: pictures, and a class for each."""
    path.parent.mkdir(exist_ok=True)
    random = np.random.default_rng(number)
    with tarfile.open(path, "w") as tar:
        for one in range(count):
            picture = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(picture, "PNG")
            data = b"\x89PNG\r\n\x1a\nbroken" if broken and one == 2 else picture.getvalue()
            for suffix, content in (("png", data), ("cls", b"7")):
                entry = tarfile.TarInfo(f"{number:03}{one:03}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


@pytest.fixture
def shards(workspace: Path) -> Path:
    for number in range(4):
        save_shard(Path("shards", f"x-{number:03}.tar"), number)
    return Path("shards")


def parts() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("vectors").iterdir()}


def test_each_shard_gives_a_part_that_its_table_would_be(inline, shards):
    done = inline(*FLAT, RANGE, *PARTS)
    assert (done.returncode, summary(done)) == (0, "24 done, 0 skipped, 0 failed"), done.stderr
    assert done.stdout.splitlines()[0] == "vectors/x-000.parquet"
    assert sorted(parts()) == [f"x-{number:03}.parquet" for number in range(4)]
    import pyarrow.parquet

    for number in range(4):
        inline(*FLAT, f"shards/x-{number:03}.tar", "-o", "one.npy", "--overwrite")
        table = pyarrow.parquet.read_table(f"vectors/x-{number:03}.parquet").to_pydict()
        assert np.array_equal(np.stack(table["features"]), np.load("one.npy"))
        assert table["file"] == [f"{key}.png" for key in table["key"]]


def test_a_second_run_does_nothing_and_a_changed_shard_alone_is_done_again(inline, shards):
    inline(*FLAT, RANGE, *PARTS)
    before, times = parts(), {path: path.stat().st_mtime_ns for path in Path("vectors").iterdir()}
    done = inline(*FLAT, RANGE, *PARTS)
    assert done.stderr.endswith("4 of 4 parts exist already\n")
    assert times == {path: path.stat().st_mtime_ns for path in Path("vectors").iterdir()}
    save_shard(shards / "x-001.tar", 9)
    assert "6 done, 0 skipped" in inline(*FLAT, RANGE, *PARTS).stderr
    changed = {name for name, data in parts().items() if data != before[name]}
    assert changed == {"x-001.parquet"}
    assert "3 of 4 parts" in inline("run", "gray | resize 4x4 | flatten", RANGE, *PARTS).stderr or (
        parts()["x-000.parquet"] != before["x-000.parquet"]
    )


def test_a_shard_with_a_failure_is_tried_again_and_then_done(inline, shards):
    save_shard(shards / "x-001.tar", 1, broken=True)
    done = inline(*FLAT, RANGE, *PARTS)
    assert (done.returncode, summary(done)) == (1, "23 done, 0 skipped, 1 failed")
    assert "001002.png" in done.stderr
    rows = list(map(json.loads, Path("vectors.manifest/x-001.jsonl").read_text().splitlines()))
    assert [row["status"] for row in rows].count("failed") == 1
    assert inline(*FLAT, RANGE, *PARTS).returncode == 1
    save_shard(shards / "x-001.tar", 1)
    assert inline(*FLAT, RANGE, *PARTS).returncode == 0
    assert inline(*FLAT, RANGE, *PARTS).stderr.endswith("4 of 4 parts exist already\n")


@pytest.mark.slow
def test_every_program_reads_the_folder_at_any_moment(started, shards):
    for number in range(4, 12):
        save_shard(shards / f"x-{number:03}.tar", number, 40)
    process = started(*FLAT, "shards/x-{000..011}.tar", *PARTS)
    counts = [0]
    while process.poll() is None:
        if Path("vectors").exists() and any(Path("vectors").iterdir()):
            counts.append(max(read_by_all()))
    assert process.returncode == 0
    assert counts == sorted(counts)
    assert set(read_by_all()) == {4 * 6 + 8 * 40}


def read_by_all() -> list[int]:
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset

    return [
        duckdb.sql("SELECT count(*) FROM 'vectors/*.parquet'").fetchall()[0][0],
        polars.read_parquet("vectors/").height,
        len(pandas.read_parquet("vectors/")),
        pyarrow.dataset.dataset("vectors/").count_rows(),
    ]


@pytest.mark.slow
def test_a_run_that_is_killed_keeps_the_parts_that_it_had(inline, started, shards):
    for number in range(4, 30):
        save_shard(shards / f"x-{number:03}.tar", number, 20)
    words = (*FLAT, "shards/x-{000..029}.tar", *PARTS)
    process = started(*words)
    deadline = time.monotonic() + 60
    while not (Path("vectors").exists() and any(Path("vectors").iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    kept = parts()
    assert inline(*words).returncode == 0
    assert len(parts()) == 30
    assert {name: parts()[name] for name in kept} == kept


def test_a_part_of_somebody_else_is_refused(inline, shards):
    Path("vectors").mkdir()
    Path("vectors", "x-002.parquet").write_bytes(b"mine")
    done = inline(*FLAT, RANGE, *PARTS)
    assert (done.returncode, "exists already, and was not written by featcli" in done.stderr) == (
        2,
        True,
    )
    assert parts()["x-002.parquet"] == b"mine"


def test_what_is_no_shard_or_not_there_is_refused_before_any_work(inline, shards):
    Path("list").write_text("shards/x-000.tar\n")
    for words in (
        ("one.png", *PARTS),
        ("samples", *PARTS),
        ("shards/x-{000..004}.tar", *PARTS),
        ("shards/x-{003..000}.tar", *PARTS),
        (RANGE, "-o", "x.parquet", "--format", "parquet"),
        (RANGE, *PARTS, "--limit", "2"),
        (RANGE, *PARTS, "--retry-failed"),
        ("--from-file", "list", *PARTS),
    ):
        done = inline(*FLAT, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), (words, done.stderr)
    assert not Path("vectors").exists()


def test_a_dry_run_names_the_parts_and_writes_nothing(inline, shards):
    before = sorted(Path().iterdir())
    done = inline(*FLAT, RANGE, *PARTS, "--dry-run")
    assert done.stdout.splitlines()[1] == "shards/x-001.tar -> vectors/x-001.parquet"
    assert sorted(Path().iterdir()) == before
    inline(*FLAT, RANGE, *PARTS)
    done = inline(*FLAT, RANGE, *PARTS, "--dry-run")
    assert (done.stdout, "4 of 4 parts" in done.stderr) == ("", True)


def test_shards_in_a_bucket_give_the_same_parts_there(inline, bucket, shards, proxy):
    bucket.put_folder(shards, "shards")
    words = (*FLAT, f"{bucket}/{RANGE}", "-o", f"{bucket}/vectors/", "--format", "parquet")
    done = inline(*words)
    assert (done.returncode, summary(done)) == (0, "24 done, 0 skipped, 0 failed"), done.stderr
    inline(*FLAT, RANGE, *PARTS)
    assert {key: bucket.get(f"vectors/{key}") for key in parts()} == parts()
    assert len(bucket.keys("vectors")) == 4
    assert len(bucket.keys("vectors.manifest")) == 4
    proxy.seen.clear()
    proxy.log.clear()
    assert inline(*words).stderr.endswith("4 of 4 parts exist already\n")
    assert proxy.seen["PUT"] == 0
    assert not [line for line in proxy.log if line.startswith("GET") and line.endswith(".tar")]
    save_shard(shards / "x-001.tar", 9)
    bucket.put("shards/x-001.tar", (shards / "x-001.tar").read_bytes())
    assert inline(*words).returncode == 0
    inline(*FLAT, RANGE, *PARTS)
    assert {key: bucket.get(f"vectors/{key}") for key in parts()} == parts()
    bucket.put("vectors/x-002.parquet", b"edited")
    done = inline(*words)
    assert (done.returncode, "exists already" in done.stderr) == (2, True)
    assert bucket.get("vectors/x-002.parquet") == b"edited"
