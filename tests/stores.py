"""moto's server on loopback, and a proxy before it that fails, waits and is gone on demand."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "batch"))  # for what its tests share with these

KEY, SECRET = "AKIATESTKEYOFNOBODY", "s3cr3tOfNobodyWhatsoever"
TOKEN = "sessionTokenOfNobody"
_START = 60  # seconds


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Moto:
    """A process of moto's server; what it holds can be taken over into the next one."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=null, stderr=null)
        deadline = time.monotonic() + _START
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(30)


class Bucket:
    """A bucket, seen past featcli."""

    def __init__(self, endpoint: str, name: str) -> None:
        from obstore.store import S3Store

        self.name, self._endpoint = name, endpoint
        self.make()
        self.store = S3Store(
            name,
            endpoint=endpoint,
            region="us-east-1",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )

    def make(self) -> None:
        host = self._endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("PUT", f"/{self.name}")
        assert connection.getresponse().status == 200
        connection.close()

    def __str__(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes, attributes: dict[str, str] | None = None) -> None:
        import obstore

        obstore.put(self.store, key, data, attributes=attributes, use_multipart=False)

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".featcli" not in path.parts:
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def keys(self, prefix: str = "") -> list[str]:
        import obstore

        listed = obstore.list(self.store, prefix or None)
        return sorted(one["path"] for some in listed for one in some)

    def get(self, key: str) -> bytes:
        import obstore

        return bytes(obstore.get(self.store, key).bytes())

    def delete(self, key: str) -> None:
        import obstore

        obstore.delete(self.store, key)

    def below(self, prefix: str) -> dict[str, bytes]:
        """Every array and picture below a prefix."""
        keys = [key for key in self.keys(prefix) if key.endswith((".npy", ".png"))]
        return {key[len(prefix) + 1 :]: self.get(key) for key in keys}

    def dump(self) -> list[tuple[str, bytes, dict[str, str]]]:
        """Take all of it, with what is said of each object."""
        import obstore

        found = []
        for key in self.keys():
            answer = obstore.get(self.store, key)
            found.append((key, bytes(answer.bytes()), dict(answer.attributes)))
        return found

    def restore(self, dumped: list[tuple[str, bytes, dict[str, str]]]) -> None:
        self.make()
        for one in dumped:
            self.put(*one)


class Proxy:
    """Passes requests on, and does what it is told to besides.

    Attributes
    ----------
    rate : float
        Which part of the requests fails or is slow.
    delay : float
        Seconds for which every request waits.
    answers : int
        A status that every request is answered with; 0 to pass it on.
    refuses : str
        A method that is answered with 403.
    is_gone : bool
        Whether connections are closed without an answer.
    seen : Counter
        How often each method was asked for.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self._target = port
        self.rate, self.delay, self.answers, self.is_gone = 0.0, 0.0, 0, False
        self.refuses = ""
        self.seen: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.log: list[str] = []
        self._random, self._lock = random.Random(seed), threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that were killed
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _fault(self) -> str:
        with self._lock:
            if self._random.random() >= self.rate:
                return ""
            fault = self._random.choice(("500", "drop", "lost", "slow"))
            self.faults[fault] += 1
            return fault

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._lock:
            self.seen[handler.command] += 1
            self.log.append(f"{handler.command} {handler.path}")
        fault = self._fault()
        time.sleep(self.delay + 0.3 * (fault == "slow"))
        if self.is_gone or fault == "drop":
            handler.close_connection = True
            return
        answers = 403 if handler.command == self.refuses else self.answers
        if answers or fault == "500":
            self._answer(handler, answers or 500, {}, b"<Code>AccessDenied</Code>")
            return
        try:
            status, headers, data = self._passed_on(handler, body)
        except OSError:
            handler.close_connection = True
            return
        if fault == "lost":
            handler.close_connection = True
        else:
            self._answer(handler, status, headers, data)

    def _passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, handler, status: int, headers: dict[str, str], data: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                handler.send_header(name, value)
        is_head = handler.command == "HEAD" and "Content-Length" in headers
        handler.send_header("Content-Length", headers["Content-Length"] if is_head else len(data))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)


def environment(endpoint: str) -> dict[str, str]:
    """Return how a process reaches a store, and nothing else of AWS."""
    none = os.devnull
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": none,
        "AWS_SHARED_CREDENTIALS_FILE": none,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """A server for all tests of a process."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
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
