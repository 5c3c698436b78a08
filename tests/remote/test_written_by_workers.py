"""A cluster whose workers put results into a bucket themselves."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from batch_tools import arrays_in, save_images, summary, wait_for
from clusters import cluster, with_module
from stores import KEY, SECRET, TOKEN, Bucket, Moto, Proxy, environment

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gate(moto: Moto):
    """The proxy through which the workers, and nobody else, reach the server."""
    found = Proxy(moto.port)
    yield found
    found.close()


@pytest.fixture(scope="module")
def far(gate: Proxy, tmp_path_factory: pytest.TempPathFactory):
    """A scheduler and two workers with credentials of their own."""
    with cluster(tmp_path_factory.mktemp("dask"), 2, **environment(gate.endpoint)) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh(gate: Proxy) -> None:
    gate.rate, gate.delay, gate.answers, gate.is_gone = 0.0, 0.0, 0, False
    gate.seen.clear()
    gate.log.clear()


def arguments(bucket: Bucket, far, *more: str) -> tuple[str, ...]:
    inputs, outputs = f"{bucket}/photos/", f"{bucket}/out/"
    words = ("convolve", inputs, "-k", "vertical", "-o", outputs)
    return (*words, "--scheduler", far.address, *more)


def near(inline, bucket: Bucket) -> dict[str, bytes]:
    """What the command gives without a cluster."""
    words = ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/near/", "-q")
    assert inline(*words).returncode == 0
    return bucket.below("near")


def puts(log: list[str]) -> Counter[str]:
    """How many arrays, pictures and sidecars were put, by their suffixes."""
    ends = (".npy", ".png", ".json")
    return Counter(Path(one).suffix for one in log if one.startswith("PUT") and one.endswith(ends))


def test_workers_put_what_a_run_without_them_puts_and_the_command_puts_none_of_it(
    inline, bucket, photos, far, gate, proxy
):
    done = inline(*arguments(bucket, far))
    assert (done.returncode, summary(done)) == (0, "18 done, 0 skipped, 0 failed"), done.stderr
    assert puts(gate.log) == {".npy": 18, ".png": 18, ".json": 18}
    assert not puts(proxy.log)
    assert bucket.below("out") == near(inline, bucket)
    rows, usual = (
        [json.loads(line) for line in bucket.get(f"{where}/manifest.jsonl").splitlines()]
        for where in ("out", "near")
    )
    for name in ("key", "file", "status", "input"):
        assert [row[name] for row in rows] == [row[name] for row in usual]
    assert not [key for key in bucket.keys("out") if key.endswith(".probe")]
    gate.seen.clear()
    again = inline(*arguments(bucket, far))
    assert summary(again) == "0 done, 18 skipped, 0 failed"
    assert not gate.seen  # nothing is left for the workers


def test_a_changed_input_and_a_lost_result_are_done_again_by_workers(
    inline, bucket, photos, far, gate
):
    inline(*arguments(bucket, far))
    before = bucket.below("out")
    bucket.put("photos/0001.png", (photos / "0002.png").read_bytes())
    bucket.delete("out/0003.vertical.npy")
    gate.log.clear()
    assert summary(inline(*arguments(bucket, far))) == "2 done, 16 skipped, 0 failed"
    assert puts(gate.log)[".npy"] == 2
    after = bucket.below("out")
    assert after["0001.vertical.npy"] == before["0002.vertical.npy"]
    assert after["0003.vertical.npy"] == before["0003.vertical.npy"]
    assert summary(inline(*arguments(bucket, far))) == "0 done, 18 skipped, 0 failed"


def test_an_object_of_somebody_else_is_refused_by_workers_and_kept(inline, bucket, photos, far):
    bucket.put("out/0001.vertical.npy", b"mine")
    words = ("gray", "--scheduler", far.address, f"{bucket}/photos/", "-o", f"{bucket}/gray/")
    bucket.put("gray/0001.gray.json", b"mine")
    for arguments_, name in (
        (arguments(bucket, far, "--frames", "all"), "out/0001.vertical.npy"),
        ((*words, "--frames", "all"), "gray/0001.gray.json"),
    ):
        done = inline(*arguments_)
        assert done.returncode in (1, 2)
        assert f"{bucket}/{name} exists already, and was not written by featcli" in done.stderr
        assert bucket.get(name) == b"mine"
    done = inline(*arguments(bucket, far, "--overwrite"))
    assert done.returncode == 0, done.stderr
    assert bucket.get("out/0001.vertical.npy") != b"mine"


def test_results_are_known_by_their_sidecars_where_the_memory_is_gone(inline, bucket, photos, far):
    inline(*arguments(bucket, far))
    bucket.delete("out/.featcli/results.db")
    bucket.delete("out/manifest.jsonl")
    assert summary(inline(*arguments(bucket, far))) == "0 done, 18 skipped, 0 failed"


def test_files_of_this_machine_go_to_the_bucket_from_the_workers(inline, bucket, photos, far, gate):
    words = ("convolve", "photos", "-k", "vertical", "-o", f"{bucket}/out/")
    done = inline(*words, "--scheduler", far.address)
    assert done.returncode == 0, done.stderr
    assert puts(gate.log)[".npy"] == 18
    assert inline(*words[:-1], "here", "-q").returncode == 0
    here = {name: data for name, data in arrays_in(Path("here")).items() if name.endswith(".npy")}
    found = {name: one for name, one in bucket.below("out").items() if name.endswith(".npy")}
    assert found == here


def test_requests_of_workers_that_fail_or_are_slow_change_no_byte(
    inline, bucket, photos, far, gate
):
    gate.rate = 0.05
    done = inline(*arguments(bucket, far))
    assert (done.returncode, summary(done)) == (0, "18 done, 0 skipped, 0 failed"), done.stderr
    assert bucket.below("out") == near(inline, bucket)


def test_the_command_writes_where_a_worker_does_not_reach_the_bucket(
    inline, bucket, photos, far, gate
):
    gate.answers = 403
    words = ("convolve", "photos", "-k", "vertical", "-o", f"{bucket}/out/")
    done = inline(*words, "--scheduler", far.address)
    assert (done.returncode, summary(done)) == (0, "18 done, 0 skipped, 0 failed"), done.stderr
    first = done.stderr.splitlines()[0]
    assert "results come back and are written from here, for the worker tcp://" in first
    assert "no permission to" in first
    assert len([key for key in bucket.keys("out") if key.endswith(".npy")]) == 18
    assert not puts(gate.log)


def test_a_worker_that_may_not_write_ends_the_run_in_one_line(inline, bucket, photos, far, gate):
    gate.refuses = "PUT"
    try:
        done = inline(*arguments(bucket, far))
    finally:
        gate.refuses = ""
    assert done.returncode == 1
    assert "no permission to write here (AccessDenied)" in done.stderr
    assert "Traceback" not in done.stderr
    assert summary(inline(*arguments(bucket, far))) == "18 done, 0 skipped, 0 failed"


def test_classes_are_told_and_drawn_as_without_a_cluster(inline, bucket, photos, far, gate):
    words = ("classify", f"{bucket}/photos/", "--model", "zero-one", "-o")
    usual = inline(*words, f"{bucket}/near/")
    done = inline(*words, f"{bucket}/out/", "--scheduler", far.address)
    assert done.stdout == usual.stdout.replace(f"{bucket}/near/", f"{bucket}/out/")
    assert done.returncode == usual.returncode == 0
    assert puts(gate.log)[".png"] > 0
    assert bucket.below("out") == bucket.below("near")


@pytest.mark.parametrize("is_filled", [False, True])
def test_a_worker_that_is_killed_in_between_loses_nothing_and_what_it_put_counts(
    tmp_path, started, inline, bucket, photos, proxy, is_filled
):
    save_images(photos / "more", 22, side=100)
    bucket.put_folder(photos / "more", "photos/more")
    if is_filled:  # then workers ask for each object; else they know that there is none
        assert inline("gray", "photos/a.jpg", "photos/0000.png", "-o", f"{bucket}/out/", "-q")
    with cluster(tmp_path / "own", 2, **environment(proxy.endpoint)) as own:
        process = started(*arguments(bucket, own))
        wait_for(lambda: len(puts(proxy.log)) == 3 and puts(proxy.log)[".json"] > 3, 60)
        own.workers[0].kill()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.splitlines()[-1].endswith(b"40 done, 0 skipped, 0 failed")
    found = {name: one for name, one in bucket.below("out").items() if "vertical" in name}
    assert found == near(inline, bucket)


def test_a_command_that_is_killed_goes_on_with_what_workers_have_put(
    started, inline, bucket, photos, far, gate
):
    save_images(photos / "more", 22, side=100)
    bucket.put_folder(photos / "more", "photos/more")
    process = started(*arguments(bucket, far))
    wait_for(lambda: puts(gate.log)[".json"] > 10, 60)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    done = inline(*arguments(bucket, far))
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(" 0 failed\n")
    assert bucket.below("out") == near(inline, bucket)
    assert summary(inline(*arguments(bucket, far))) == "0 done, 40 skipped, 0 failed"


def test_no_credentials_travel_in_tasks_or_are_in_what_is_left(
    inline, bucket, photos, far, monkeypatch
):
    from featcli.batch.connecting import Line

    sent: list[bytes] = []
    usual = Line.submit

    def submit(line, contract, run, chunk):
        sent.extend((contract, chunk))
        return usual(line, contract, run, chunk)

    monkeypatch.setattr(Line, "submit", submit)
    done = inline(*arguments(bucket, far, "-v"))
    assert done.returncode == 0
    assert sent
    left = [data + str(about).encode() for _, data, about in bucket.dump()]
    logs = [path.read_bytes() for path in far.folder.glob("*.log")]
    said = [(done.stdout + done.stderr).encode()]
    for secret in (KEY, SECRET, TOKEN):
        assert not [one for one in (*sent, *left, *logs, *said) if secret.encode() in one]


def test_an_object_that_came_meanwhile_is_not_replaced_by_a_worker(
    tmp_path, inline, bucket, photos
):
    """The listing of the start knows nothing of it: only the conditional PUT can refuse."""
    waits = """
import featcli.io.remote.objects as objects, obstore
usual = objects.ObjectsSink._put
def put(self, path, write, present):
    if str(path).endswith("sub/0001.vertical.npy"):
        obstore.put(self._bucket._store(), self._object(path).key, b"mine")
    return usual(self, path, write, present)
objects.ObjectsSink._put = put
"""
    env = with_module(tmp_path / "meanwhile", waits) | environment(os.environ["AWS_ENDPOINT_URL"])
    with cluster(tmp_path / "own", 1, **env) as own:
        done = inline(*arguments(bucket, own))
    assert (done.returncode, summary(done)) == (2, "17 done, 0 skipped, 1 failed"), done.stderr
    assert f"{bucket}/out/sub/0001.vertical.npy exists already" in done.stderr
    assert bucket.get("out/sub/0001.vertical.npy") == b"mine"
