"""Single objects of the web; what is secret in an address is used, and known nowhere."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SIGNATURE, PASSWORD = "signatureOfNobody", "passwordOfNobody"


class Web:
    """A server of some files, which asks for what some of them need."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = 0
        self.redirect = ""
        self.seen: list[tuple[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                web.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        who = handler.headers.get("Authorization", "")
        self.seen.append((handler.path, who))
        if self.failures:
            self.failures -= 1
            handler.send_error(503)
        elif path == "/away.png":
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.end_headers()
        elif path not in self.files:
            handler.send_error(404)
        elif "signed" in path and f"sig={SIGNATURE}" not in query:
            handler.send_error(403)
        elif "private" in path and base64.b64encode(f"me:{PASSWORD}".encode()).decode() not in who:
            handler.send_error(401)
        else:
            data = self.files[path]
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()[:8]}"')
            handler.end_headers()
            handler.wfile.write(data)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Web()
    for name in ("one.png", "signed.png", "private.png", "a b.png"):
        found.files[f"/{name.replace(' ', '%20')}"] = Path("one.png").read_bytes()
    yield found
    found.close()


def test_an_object_gives_what_its_file_gives_and_is_done_once(inline, web):
    inline("relu", "one.png", "-o", "here.npy")
    words = ("relu", f"http://{web.host}/one.png", "-o", "out/")
    assert inline(*words).stdout == "out/one.relu.npy\n"
    assert Path("out/one.relu.npy").read_bytes() == Path("here.npy").read_bytes()
    before = Path("out/one.relu.npy").stat().st_mtime_ns
    assert inline(*words).returncode == 0
    assert Path("out/one.relu.npy").stat().st_mtime_ns == before
    web.files["/one.png"] = Path("zero.png").read_bytes()
    assert inline(*words).returncode == 0
    assert Path("out/one.relu.npy").stat().st_mtime_ns != before
    assert inline("relu", f"http://{web.host}/a b.png", "-o", "b.npy").returncode == 0


def test_a_secret_in_an_address_is_used_and_recorded_nowhere(inline, web, bucket):
    signed = f"http://{web.host}/signed.png?sig={SIGNATURE}"
    private = f"http://me:{PASSWORD}@{web.host}/private.png"
    Path("list").write_text(f"{signed}\n{private}\n")
    done = [
        inline("relu", signed, private, "-o", "out", "-v"),
        inline("relu", signed, private, "-o", f"{bucket}/out/", "--json"),
        inline("run", "flatten", signed, private, "-o", "t.csv", "--dry-run"),
        inline("run", "flatten", "--from-file", "list", "-o", "t.csv"),
        inline("run", "flatten", "-o", "piped.npz", stdin=f"{signed}\n"),
        inline("info", signed),
        inline("relu", signed.replace("signed", "none"), private, "-o", "failed"),
        inline("relu", signed, private, "photo.jpg", "-o", "mixed"),
    ]
    assert [one.returncode for one in done] == [0, 0, 0, 0, 0, 0, 1, 2], [
        one.stderr for one in done
    ]
    Path("list").unlink()
    left = [data + str(about).encode() for _, data, about in bucket.dump()]
    left += [path.read_bytes() for path in Path().rglob("*") if path.is_file()]
    left += [(one.stdout + one.stderr).encode() for one in done]
    for secret in (SIGNATURE, PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode()):
        assert not [one for one in left if secret.encode() in one]


def test_a_password_does_not_follow_to_another_host(inline, web):
    other = Web()
    try:
        other.files["/one.png"] = Path("one.png").read_bytes()
        web.redirect = f"http://{other.host}/one.png"
        words = ("relu", f"http://me:{PASSWORD}@{web.host}/away.png", "-o", "out.npy")
        assert inline(*words).returncode == 0
        assert other.seen
        assert not [who for _, who in other.seen if who]
    finally:
        other.close()
    web.redirect = "file:///etc/hostname"
    assert inline("relu", f"http://{web.host}/away.png", "-o", "file.npy").returncode == 1


def test_a_server_that_fails_at_first_is_asked_again(inline, web):
    web.failures = 2
    assert inline("relu", f"http://{web.host}/one.png", "-o", "out.npy").returncode == 0


def test_what_cannot_be_read_is_one_line(inline, web):
    for name, text in (
        ("none.png", "there is no such object (404)"),
        ("signed.png", "no permission to read it (403)"),
    ):
        done = inline("relu", f"http://{web.host}/{name}", "-o", "out.npy")
        assert (done.returncode, text in done.stderr) == (1, True), done.stderr
        assert not Path("out.npy").exists()
    done = inline("relu", "http://127.0.0.1:1/x.png", "-o", "out.npy")
    assert (done.returncode, "cannot be reached" in done.stderr) == (1, True)


def test_an_object_that_is_larger_than_the_memory_is_refused_before_it_is_read(inline, web):
    web.files["/large.png"] = bytes(200_000_000)
    done = inline("relu", f"http://{web.host}/large.png", "-o", "o.npy", "--max-memory", "150MB")
    assert (done.returncode, "larger than 150 MB (see --max-memory)" in done.stderr) == (1, True)


def test_a_tar_of_the_web_is_read_as_it_comes(inline, web):
    inline("gray", "one.png", "zero.png", "-o", "x.tar")
    web.files["/x.tar"] = Path("x.tar").read_bytes()
    done = inline("relu", f"http://{web.host}/x.tar", "-o", "out/", "-q")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
