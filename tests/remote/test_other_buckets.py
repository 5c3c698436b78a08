"""gs:// against a stand-in for Google's storage, az:// against Microsoft's emulator (Azurite)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import shutil
import socket
import subprocess
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from batch_tools import save_images, summary
from google_server import Google
from measuring import measure
from stores import free_port

pytest.importorskip("obstore")
pytestmark = pytest.mark.slow

ACCOUNT = "devstoreaccount1"  # with this key, which is no secret, in every Azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory):
    """The port of an emulator; FEATCLI_AZURITE names its program, if it is not on the PATH."""
    program = os.environ.get("FEATCLI_AZURITE") or shutil.which("azurite-blob")
    if not program:
        pytest.skip("needs azurite-blob (npm install azurite)")
    port, folder = free_port(), tmp_path_factory.mktemp("azurite")
    words = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    words += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        make_container(port, "bucket")
        yield port
    finally:
        process.kill()
        process.wait(30)


def make_container(port: int, name: str) -> None:
    date, version = formatdate(usegmt=True), "2021-08-06"
    text = "PUT" + 12 * "\n" + f"x-ms-date:{date}\nx-ms-version:{version}\n"
    text += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}",
        "Content-Length": "0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
    assert connection.getresponse().status == 201
    connection.close()


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = Google()
    for name, value in found.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    yield found
    found.close()


@pytest.fixture(params=["gs", "az"])
def store(request, monkeypatch: pytest.MonkeyPatch):
    """The address of a bucket or container, and its store, seen past featcli."""
    from obstore.store import AzureStore, GCSStore

    from featcli.io.remote import bucket

    bucket._bucket.cache_clear()  # connections belong to the server of another test
    if request.param == "gs":
        request.getfixturevalue("google")
        return "gs://bucket", GCSStore("bucket")
    port = request.getfixturevalue("azurite")
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", f"http://127.0.0.1:{port}")
    found = AzureStore("bucket")
    import obstore

    for one in [one["path"] for some in obstore.list(found) for one in some]:
        obstore.delete(found, one)
    return "az://bucket", found


@pytest.fixture
def there(store, workspace: Path) -> str:
    """The same with pictures in it, which are in `photos/`, too."""
    import obstore

    address, found = store
    save_images(workspace / "photos", 6)
    for path in (workspace / "photos").iterdir():
        obstore.put(found, f"photos/{path.name}", path.read_bytes(), use_multipart=False)
    return address


def below(store, prefix: str) -> dict[str, bytes]:
    import obstore

    keys = [one["path"] for some in obstore.list(store, prefix) for one in some]
    return {key: bytes(obstore.get(store, key).bytes()) for key in keys if key.endswith(".npy")}


def test_a_folder_goes_from_a_bucket_to_a_bucket_once(inline, there, store):
    words = ("convolve", "-k", "vertical", f"{there}/photos/", "-o", f"{there}/out/")
    done = inline(*words)
    assert (done.returncode, summary(done)) == (0, "6 done, 0 skipped, 0 failed"), done.stderr
    assert inline("convolve", "-k", "vertical", "photos", "-o", "here", "-q").returncode == 0
    usual = {f"out/{path.name}": path.read_bytes() for path in Path("here").glob("*.npy")}
    assert below(store[1], "out") == usual
    assert summary(inline(*words)) == "0 done, 6 skipped, 0 failed"


def test_what_changed_replaces_what_featcli_wrote_and_nothing_else(inline, there, store):
    import obstore

    words = ("convolve", "-k", "vertical", f"{there}/photos/", "-o", f"{there}/out/")
    assert inline(*words).returncode == 0
    other = Path("photos/0002.png").read_bytes()
    obstore.put(store[1], "photos/0001.png", other, use_multipart=False)
    assert summary(inline(*words)) == "1 done, 5 skipped, 0 failed"
    arrays = below(store[1], "out")
    assert arrays["out/0001.vertical.npy"] == arrays["out/0002.vertical.npy"]
    obstore.put(store[1], "out/0003.vertical.npy", b"mine", use_multipart=False)
    done = inline(*words)
    assert done.returncode == 2
    assert f"{there}/out/0003.vertical.npy exists already" in done.stderr
    assert below(store[1], "out")["out/0003.vertical.npy"] == b"mine"


def test_a_table_is_replaced_where_an_input_changed(inline, there, store):
    import obstore

    words = ("run", "rgb | resize 8x8 | flatten", f"{there}/photos/", "-o", f"{there}/t/x.npy")
    assert inline(*words).returncode == 0
    other = Path("photos/0002.png").read_bytes()
    obstore.put(store[1], "photos/0001.png", other, use_multipart=False)
    Path("photos/0001.png").write_bytes(other)
    done = inline(*words)
    assert (done.returncode, summary(done)) == (0, "1 done, 5 skipped, 0 failed"), done.stderr
    assert inline(*words[:2], "photos", "-o", "x.npy").returncode == 0
    assert below(store[1], "t")["t/x.npy"] == Path("x.npy").read_bytes()


def test_shards_come_from_a_bucket_and_parts_go_there(inline, there, store):
    import obstore

    shard = f"{there}/s/x-%03d.tar"
    assert inline("resize", "--size", "8x8", f"{there}/photos/", "-o", shard).returncode == 0
    words = ("run", "flatten", f"{there}/s/x-000.tar", "-o", f"{there}/v/", "--format", "parquet")
    done = inline(*words)
    assert done.returncode == 0, done.stderr
    assert bytes(obstore.get(store[1], "v/x-000.parquet").bytes())[:4] == b"PAR1"
    assert "1 of 1 parts exist already" in inline(*words).stderr


def test_a_bucket_that_is_none_is_one_line(inline, there):
    scheme = there.partition(":")[0]
    done = inline("gray", f"{scheme}://nothing-here/x/", "-o", "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"{scheme}://nothing-here/x: there is no such bucket" in done.stderr


def test_the_key_of_an_account_is_nowhere_in_what_is_left_or_said(inline, there, store):
    import obstore

    done = inline("gray", f"{there}/photos/", "-o", f"{there}/out/", "-v", "--debug")
    assert done.returncode == 0
    keys = [one["path"] for some in obstore.list(store[1]) for one in some]
    left = [bytes(obstore.get(store[1], key).bytes()) for key in keys]
    said = (done.stdout + done.stderr).encode()
    assert not [one for one in [*left, said] if KEY.encode() in one]


def test_a_long_listing_is_streamed_and_takes_no_memory(google, workspace):
    """60,000 names are 10 MB of XML, and were 40 MB of Python's objects."""
    words = ("gray", "gs://bucket/many/", "-o", "out", "--limit", "1")
    peaks = []
    for google.made_up in (1_000, 60_000):
        done = measure(*words)
        assert done.code == 1, done.lines  # the one that is read is not there
        assert "many/0000000.png: there is no such object" in done.lines[0]
        peaks.append(done.peak)
    assert peaks[1] - peaks[0] < 12


@pytest.mark.parametrize("names", [
    ["a.png", "a.jpg", "b.png", "B.png", "b.npy", "b.json", "b", "c/d.png", "c.png", "c/d.jpg"],
    ["x.npy", "x.png", "x.json", "y.png", "y.json", ".h.png", "e.txt", "f", "a.b.png", "a.png"],
    ["manifest.jsonl", "sub/z.png", "sub-1/z.png", "sub.png", "Sub/z.png", "t.csv", "t.png"],
])  # fmt: skip
@pytest.mark.parametrize("dotted", [False, True])
def test_what_is_an_input_and_its_key_are_those_of_a_folder(google, workspace, names, dotted):
    """Of `b.npy`, whose sidecar is none, a folder of this machine says the same."""
    import obstore
    from obstore.store import GCSStore

    from featcli.batch.objects import Below
    from featcli.batch.trees import Excluded, files_below
    from featcli.io.remote import bucket
    from featcli.io.remote.url import Url

    bucket._bucket.cache_clear()
    store, data = GCSStore("bucket"), Path("small.png").read_bytes()
    for name in names:
        path = workspace / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if path.suffix in (".png", ".jpg", ".npy") else b"")
        obstore.put(store, f"in/{name}", path.read_bytes(), use_multipart=False)
    here, there = Excluded(), Excluded()
    usual = [(path.removeprefix("in/"), key) for path, key in
             files_below(Path("in"), exclude=here, dotted=dotted)]  # fmt: skip
    below = Below(Url.parse("gs://bucket/in/")).found("", there, dotted, len)
    found = [(one.item.file.removeprefix("gs://bucket/in/"), one.item.key) for one in below]
    assert found == usual
