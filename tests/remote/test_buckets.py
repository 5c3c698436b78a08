"""featcli from a bucket to a bucket: the same results, once, and nobody else's are touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batch_tools import arrays_in, rows_of, summary
from stores import KEY, SECRET, TOKEN

CONVOLVE = ("convolve", "-k", "vertical", "-q")
FLAT = ("run", "rgb | resize 8x8 | flatten")


def test_a_prefix_gives_the_arrays_that_a_folder_gives(inline, bucket, photos):
    done = inline("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    assert (done.returncode, summary(done)) == (0, "18 done, 0 skipped, 0 failed"), done.stderr
    assert inline(*CONVOLVE, "photos", "-o", "here").returncode == 0
    arrays = {name: data for name, data in bucket.below("out").items() if name.endswith(".npy")}
    here = {name: data for name, data in arrays_in(Path("here")).items() if name.endswith(".npy")}
    assert arrays == here
    assert "skipped, as no image or array that featcli reads: 1 .txt" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{bucket}/out/0000.vertical.npy"
    rows = [json.loads(line) for line in bucket.get("out/manifest.jsonl").splitlines()]
    assert [row["key"] for row in rows] == [row["key"] for row in rows_of("here/manifest.jsonl")]
    assert rows[0]["file"] == f"{bucket}/photos/0000.png"


def test_results_beside_an_image_are_skipped_as_in_a_folder(inline, bucket, photos):
    for place in ("photos/0001", "photos/other"):
        bucket.put(f"{place}.gray.npy", b"an array")
        bucket.put(f"{place}.gray.json", b"{}")
    done = inline("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    assert "18 done, 0 skipped, 1 failed" in done.stderr
    assert f"{bucket}/photos/other.gray.npy" in done.stderr
    assert f"{bucket}/photos/0001.gray.npy: earlier results of featcli are skipped" in done.stderr


def test_a_second_run_writes_nothing(inline, bucket, photos, proxy):
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    inline(*arguments)
    proxy.seen.clear()
    done = inline(*arguments)
    assert summary(done) == "0 done, 18 skipped, 0 failed"
    assert proxy.seen["PUT"] == proxy.seen["DELETE"] == 0
    assert proxy.seen["GET"] + proxy.seen["HEAD"] < 18  # and no object is asked for by itself


def test_a_changed_input_and_a_lost_result_are_done_again(inline, bucket, photos):
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    inline(*arguments)
    before = bucket.below("out")
    bucket.put("photos/0001.png", (photos / "0002.png").read_bytes())
    bucket.delete("out/0003.vertical.npy")
    assert summary(inline(*arguments)) == "2 done, 16 skipped, 0 failed"
    after = bucket.below("out")
    assert after["0001.vertical.npy"] == before["0002.vertical.npy"]
    assert after["0003.vertical.npy"] == before["0003.vertical.npy"]
    assert summary(inline(*arguments)) == "0 done, 18 skipped, 0 failed"


@pytest.mark.slow
def test_results_are_known_by_their_sidecars_if_the_memory_is_gone(inline, bucket, photos):
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    inline(*arguments)
    bucket.delete("out/.featcli/results.db")
    bucket.delete("out/manifest.jsonl")
    assert summary(inline(*arguments)) == "0 done, 18 skipped, 0 failed"
    assert summary(inline(*arguments)) == "0 done, 18 skipped, 0 failed"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["0001.vertical.npy", "0001.vertical.json"])
def test_an_object_of_somebody_else_is_refused_and_kept(inline, bucket, photos, name):
    bucket.put(f"out/{name}", b"mine")
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    done = inline(*arguments)
    assert done.returncode == 2
    assert f"{bucket}/out/{name} exists already, and was not written by featcli" in done.stderr
    assert bucket.get(f"out/{name}") == b"mine"
    assert inline(*arguments, "--overwrite").returncode == 0
    assert bucket.get(f"out/{name}") != b"mine"


def test_an_object_that_was_edited_is_refused_and_kept(inline, bucket, photos):
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    inline(*arguments)
    bucket.put("out/0001.vertical.npy", b"edited")
    bucket.put("photos/0001.png", (photos / "0002.png").read_bytes())
    assert inline(*arguments).returncode == 2
    assert bucket.get("out/0001.vertical.npy") == b"edited"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.npy", "x.npz"])
def test_a_table_in_a_bucket_is_that_of_a_folder_and_made_once(inline, bucket, photos, proxy, name):
    arguments = (*FLAT, f"{bucket}/photos/", "-o", f"{bucket}/tables/{name}")
    assert inline(*arguments).returncode == 0
    Path("tables").mkdir()
    assert inline(*FLAT, "photos", "-o", f"tables/{name}").returncode == 0
    for path in Path("tables").glob("*"):
        if path.is_file() and "manifest" not in path.name:
            assert bucket.get(f"tables/{path.name}") == path.read_bytes(), path
    proxy.seen.clear()
    done = inline(*arguments)
    assert (done.returncode, proxy.seen["PUT"]) == (0, 0), done.stderr
    bucket.put("photos/0001.png", (photos / "0002.png").read_bytes())
    (photos / "0001.png").write_bytes((photos / "0002.png").read_bytes())
    assert summary(inline(*arguments)) == "1 done, 17 skipped, 0 failed"
    assert inline(*FLAT, "photos", "-o", f"tables/{name}").returncode == 0
    assert bucket.get(f"tables/{name}") == Path("tables", name).read_bytes()


def test_a_table_of_somebody_else_is_refused(inline, bucket, photos):
    bucket.put("t/x.csv", b"mine")
    done = inline(*FLAT, f"{bucket}/photos/", "-o", f"{bucket}/t/x.csv")
    assert done.returncode == 2
    assert f"{bucket}/t/x.csv exists already, and was not written by featcli" in done.stderr
    assert bucket.keys("t") == ["t/x.csv"]


@pytest.mark.slow
def test_shards_in_a_bucket_go_on_and_replace_what_changed(inline, bucket, photos):
    size = ("--shard-size", "2KB")
    arguments = (*FLAT, f"{bucket}/photos/", "-o", f"{bucket}/s/x-%03d.tar", *size)
    assert inline(*arguments).returncode == 0
    first = {key: bucket.get(key) for key in bucket.keys("s") if key.endswith(".tar")}
    assert len(first) > 3
    assert summary(inline(*arguments)) == "0 done, 18 skipped, 0 failed"
    bucket.put("photos/0007.png", (photos / "0002.png").read_bytes())
    bucket.delete("photos/sub/0003.png")
    assert inline(*arguments).returncode == 0
    (photos / "0007.png").write_bytes((photos / "0002.png").read_bytes())
    (photos / "sub" / "0003.png").unlink()
    shards = {key: bucket.get(key) for key in bucket.keys("s") if key.endswith(".tar")}
    assert inline(*FLAT, f"{bucket}/photos/", "-o", "x-%03d.tar", *size).returncode == 0
    assert shards == {f"s/{path.name}": path.read_bytes() for path in Path().glob("x-*.tar")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.npz", "x.tar"])
def test_an_archive_in_a_bucket_is_that_of_a_folder_and_made_once(
    inline, bucket, photos, proxy, name
):
    arguments = ("gray", f"{bucket}/photos/", "-o", f"{bucket}/{name}")
    assert inline(*arguments).returncode == 0
    assert inline("gray", f"{bucket}/photos/", "-o", name).returncode == 0
    assert bucket.get(name) == Path(name).read_bytes()
    proxy.seen.clear()
    done = inline(*arguments)
    assert (done.returncode, proxy.seen["PUT"]) == (0, 0), done.stderr
    bucket.put(name, b"edited")
    done = inline(*arguments)
    assert (done.returncode, f"{bucket}/{name} exists already" in done.stderr) == (2, True)


def test_one_object_gives_one_result(inline, bucket, photos):
    for name in ("r/x.npy", "r/x.png", "r/"):
        arguments = ("relu", f"{bucket}/photos/a.png", "-o", f"{bucket}/{name}")
        assert inline(*arguments).returncode == 0
        assert inline(*arguments).returncode == 0
    assert inline("relu", "photos/a.png", "-o", "x.npy").returncode == 0
    assert bucket.get("r/x.npy") == Path("x.npy").read_bytes() == bucket.get("r/a.relu.npy")
    again = inline("relu", f"{bucket}/r/x.npy", "-o", f"{bucket}/r/x.npy", "--overwrite")
    assert (again.returncode, "is an input, too" in again.stderr) == (2, True)


@pytest.mark.slow
def test_results_are_read_as_those_of_a_folder_with_what_their_sidecars_say(inline, bucket, photos):
    inline(*CONVOLVE, f"{bucket}/photos/", "-o", f"{bucket}/maps/")
    inline(*CONVOLVE, "photos", "-o", "maps")
    assert inline("relu", f"{bucket}/maps/", "-o", f"{bucket}/relu/", "-q").returncode == 0
    assert inline("relu", "maps", "-o", "relu", "-q").returncode == 0
    found = bucket.below("relu")
    here = arrays_in(Path("relu"))
    assert {name for name in found if name.endswith(".npy")} == {
        name for name in here if name.endswith(".npy")
    }
    assert found["0001.vertical.relu.npy"] == here["0001.vertical.relu.npy"]


@pytest.mark.slow
def test_a_list_of_addresses_is_read_from_a_file_and_from_a_pipe(inline, bucket, photos):
    text = "".join(f"{bucket}/photos/{name}\n" for name in ("0001.png", "sub/0002.png"))
    Path("list").write_text(text)
    done = inline(*CONVOLVE, "--from-file", "list", "-o", f"{bucket}/listed/")
    assert done.stdout.splitlines() == [
        f"{bucket}/listed/photos/0001.vertical.npy",
        f"{bucket}/listed/photos/sub/0002.vertical.npy",
    ]
    assert inline(*CONVOLVE, "-o", "piped", stdin=text).returncode == 0
    assert len(arrays_in(Path("piped"))) == 4
    Path("list").write_text(f"{text}photos/0003.png\n{bucket}/photos/none.png\n")
    done = inline(*CONVOLVE, "--from-file", "list", "-o", f"{bucket}/listed/")
    assert done.returncode == 1
    assert "cannot be mixed" in done.stderr
    assert f"{bucket}/photos/none.png" in done.stderr


@pytest.mark.slow
def test_a_dry_run_only_reads_and_tells_the_truth(inline, bucket, photos, proxy):
    arguments = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")
    done = inline(*arguments, "--dry-run")
    assert f"{bucket}/photos/0000.png -> {bucket}/out/0000.vertical.npy" in done.stdout
    assert "18 to do, 0 there already, 0 refused" in done.stderr
    assert proxy.seen.keys() <= {"GET", "HEAD"}
    assert not bucket.keys("out")
    inline(*arguments)
    assert "0 to do, 18 there already" in inline(*arguments, "--dry-run").stderr
    bucket.delete("out/.featcli/results.db")
    bucket.put("out/0001.vertical.npy", b"mine")
    done = inline(*arguments, "--dry-run")
    assert (done.returncode, "17 there already, 1 refused" in done.stderr) == (2, True)


def test_no_credentials_are_anywhere_in_what_is_left_or_said(inline, bucket, photos):
    done = [
        inline("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/", "-v"),
        inline(*FLAT, f"{bucket}/photos/", "-o", f"{bucket}/t/x.parquet"),
        inline("gray", f"{bucket}/none/", "-o", f"{bucket}/out/", "--debug"),
        inline("gray", f"{bucket}/photos/", "-o", "here", "--json"),
    ]
    left = [data for _, data, _ in bucket.dump()]
    left += [str(about).encode() for _, _, about in bucket.dump()]
    left += [path.read_bytes() for path in Path("here").rglob("*") if path.is_file()]
    left += [(one.stdout + one.stderr).encode() for one in done]
    for secret in (KEY, SECRET, TOKEN):
        assert not [one for one in left if secret.encode() in one]


@pytest.mark.slow
def test_numbers_are_told_of_results_that_are_there_already(inline, bucket, photos):
    arguments = ("classify", f"{bucket}/photos/", "--model", "zero-one", "-o", f"{bucket}/c/")
    first = inline(*arguments)
    again = inline(*arguments)
    assert first.returncode == again.returncode
    assert first.stdout == again.stdout
