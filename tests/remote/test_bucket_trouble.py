"""A server that fails, is slow, goes away, or says no; featcli that is killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from batch_tools import arrays_in, save_images, summary
from stores import Bucket, Moto, Proxy, environment

pytestmark = pytest.mark.slow

CONVOLVE = ("-k", "vertical", "-q")


def local(inline) -> dict[str, bytes]:
    """What a run over the same folder gives; pictures name where they come from."""
    assert inline("convolve", "photos", "-k", "vertical", "-o", "here", "-q").returncode == 0
    return {name: data for name, data in arrays_in(Path("here")).items() if name.endswith(".npy")}


def arrays(bucket: Bucket) -> dict[str, bytes]:
    return {name: data for name, data in bucket.below("out").items() if name.endswith(".npy")}


def arguments(bucket: Bucket) -> tuple[str, ...]:
    return ("convolve", f"{bucket}/photos/", "-k", "vertical", "-o", f"{bucket}/out/")


@pytest.mark.parametrize("seed", range(2))
def test_requests_that_fail_or_are_slow_change_no_byte(inline, featcli, bucket, photos, seed, moto):
    proxy = Proxy(moto.port, seed)
    proxy.rate = 0.05 if seed else 0.25
    try:
        env = {"AWS_ENDPOINT_URL": proxy.endpoint}
        done = featcli(*arguments(bucket), env=env)
        table = featcli("features", f"{bucket}/photos/", "-o", f"{bucket}/f.parquet", env=env)
    finally:
        proxy.close()
    assert (done.returncode, summary(done)) == (0, "18 done, 0 skipped, 0 failed"), done.stderr
    assert sum(proxy.faults.values()) > 2
    assert arrays(bucket) == local(inline)
    assert table.returncode == 0, table.stderr
    assert inline("features", "photos", "-o", "f.parquet").returncode == 0
    assert bucket.get("f.parquet") == Path("f.parquet").read_bytes()
    assert summary(inline(*arguments(bucket))) == "0 done, 18 skipped, 0 failed"


@pytest.mark.parametrize("output", ["out/", "x.npz"])
def test_a_run_that_is_killed_goes_on(inline, started, bucket, photos, proxy, output):
    save_images(photos / "more", 40, seed=5)
    bucket.put_folder(photos / "more", "photos/more")
    table = ("run", "rgb | resize 8x8 | flatten", f"{bucket}/photos/", "-o", f"{bucket}/x.npz")
    words = table if output == "x.npz" else arguments(bucket)
    proxy.delay = 0.01
    process = started(*words, "-j", "2")
    deadline = time.monotonic() + 60
    wanted = 25 if output == "x.npz" else 40
    while proxy.seen["GET"] + proxy.seen["PUT"] < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None  # it is in the midst of its work
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    proxy.delay = 0.0
    before = set(bucket.keys("out"))
    done = inline(*words)
    assert done.returncode == 0, done.stderr
    if output == "x.npz":
        inline(*table[:2], "photos", "-o", "x.npz")
        assert bucket.get("x.npz") == Path("x.npz").read_bytes()
    else:
        assert before <= set(bucket.keys("out"))
        assert arrays(bucket) == local(inline)
    assert summary(inline(*words)) == "0 done, 58 skipped, 0 failed"


def test_a_killed_run_whose_input_changed_meanwhile_replaces_its_own(
    inline, started, bucket, photos, proxy
):
    proxy.delay = 0.02
    process = started(*arguments(bucket), "-j", "1")
    deadline = time.monotonic() + 60
    while not bucket.keys("out") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None  # it is in the midst of its work
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    proxy.delay = 0.0
    bucket.put("photos/0000.png", (photos / "0002.png").read_bytes())
    (photos / "0000.png").write_bytes((photos / "0002.png").read_bytes())
    assert inline(*arguments(bucket)).returncode == 0
    assert arrays(bucket) == local(inline)


def test_a_server_that_is_started_again_ends_nothing(inline, started, photos, bucket, moto):
    own = Moto()
    proxy = Proxy(own.port)
    try:
        there = Bucket(own.endpoint, "bucket")
        there.put_folder(photos, "photos")
        proxy.delay = 0.02
        process = started(*arguments(there), "-j", "2", env=environment(proxy.endpoint))
        deadline = time.monotonic() + 60
        while proxy.seen["PUT"] < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        proxy.is_gone = True
        time.sleep(0.5)  # what is on its way arrives
        held = there.dump()
        own.stop()
        own.start()
        there.restore(held)
        proxy.is_gone = False
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert arrays(there) == local(inline)
    finally:
        proxy.close()
        own.stop()


def test_a_server_that_stays_away_ends_the_run_which_can_go_on(
    inline, started, photos, bucket, proxy, monkeypatch
):
    proxy.delay = 0.02
    process = started(*arguments(bucket), "-j", "1")
    deadline = time.monotonic() + 60
    while proxy.seen["PUT"] < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    proxy.answers = 403
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"no permission to" in err
    assert b"Traceback" not in err
    proxy.answers, proxy.delay = 0, 0.0
    assert inline(*arguments(bucket)).returncode == 0
    assert arrays(bucket) == local(inline)


BAD = {
    "s3://no-such-bucket/x/": "s3://no-such-bucket/x: there is no such bucket",
    "ftp://host/x.png": "ftp:// is no place that featcli knows",
    "s3:///x": "no bucket has such a name",
    "s3://b/a//x": "an empty piece, '.' or '..' in the key",
    "s3://name:hidden@b/x": "a name or password before the bucket",
    "s3://b/x.png?X-Amz-Signature=hidden": "a signed address is one of https://",
    "https://": "names no host",
    "https://host:port/x": "a host or port that is none",
}


@pytest.mark.parametrize("address", BAD)
def test_a_wrong_address_is_one_line(inline, bucket, workspace, address):
    for words in ((address, "-o", "out"), ("one.png", "-o", address)):
        if address.startswith("https") and words[0] != address:
            continue
        done = inline("gray", *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert BAD[address] in done.stderr
        assert "hidden" not in done.stderr
    assert not Path("out").exists()


def test_inputs_and_results_that_do_not_go_together_are_one_line(inline, bucket, photos):
    for words in (
        (f"{bucket}/photos/", "photos", "-o", "out"),
        (f"{bucket}/photos/", "-o", f"{bucket}/photos/out/"),
        (f"{bucket}/photos/sub/", "-o", f"{bucket}/photos/"),
        (f"{bucket}/photos/", "-o", f"{bucket}/"),
        (f"{bucket}/photos/", "-o", f"{bucket}/x.zarr"),
        (f"{bucket}/photos/", "-o", "https://name:hidden@host/x/"),
        (f"{bucket}/photos/",),
        (f"{bucket}/nothing/", "-o", "out"),
        ("photos", "-o", f"{bucket}/", "--format", "parquet"),
    ):
        done = inline("gray", *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "hidden" not in done.stderr
    assert not Path("out").exists()
    assert bucket.keys() == bucket.keys("photos")


def test_no_permission_and_no_server_are_one_line(featcli, bucket, photos, proxy, tmp_path):
    proxy.answers = 403
    done = featcli("gray", f"{bucket}/photos/", "-o", "out")
    assert done.returncode == 2
    assert done.stderr.endswith("no permission to list here (AccessDenied)\n")
    proxy.answers, proxy.is_gone = 0, True
    done = featcli("gray", f"{bucket}/photos/", "-o", "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the server cannot be reached, or does not answer" in done.stderr
    proxy.is_gone = False
    done = featcli("gray", f"{bucket}/photos/", "-o", "out", env={"AWS_PROFILE": "nobody"})
    assert (done.returncode, "AWS_PROFILE=nobody: no such profile" in done.stderr) == (2, True)


def test_credentials_are_read_from_the_usual_files(featcli, bucket, photos, tmp_path):
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAFROMAFILE\naws_secret_access_key = fromafile\n"
    )
    env = {
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_REGION": "",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    done = featcli("gray", f"{bucket}/photos/", "-o", "out", "-q", env=env)
    assert done.returncode == 0, done.stderr
    (tmp_path / "credentials").write_text("[work\nfromafile")
    done = featcli("gray", f"{bucket}/photos/", "-o", "out", "-q", env=env)
    assert (done.returncode, "fromafile" in done.stderr) == (2, False)


def test_without_the_extra_it_is_one_line_with_the_command(shell, workspace):
    script = (
        "python -c \"import sys; sys.modules['obstore'] = None; from featcli.cli.main import main; "
        "main(['gray', 's3://bucket/x.png', '-o', 'out'])\""
    )
    done = shell(script)
    assert done.returncode == 2
    assert done.stderr.endswith("install it with: pip install 'featcli[remote]'\n")
