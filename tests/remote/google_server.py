"""A small stand-in for Google's storage, and for S3's lists, on loopback.

It answers what featcli asks of Google's XML API: objects with numbers of versions (generations),
conditions on them, and lists in pages. No emulator speaks that API, and this server was never
compared with Google's. A list may have more objects than it would be quick to store.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_PAGE = 1000
_ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class Stored(NamedTuple):
    data: bytes
    version: int
    about: dict[str, str]

    @property
    def etag(self) -> str:
        return hashlib.md5(self.data).hexdigest()


class Google:
    """The server.

    Attributes
    ----------
    objects : dict
        What was put, by key.
    made_up : int
        How many objects more the list names, called `many/0000000.png` and so on.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.made_up = 0
        self._number, self._lock = 1, threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                server.serve(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, folder: Path) -> dict[str, str]:
        """How a process reaches it: by a file as Google's, and without TLS."""
        account = folder / "account.json"
        about = {"gcs_base_url": self.endpoint, "disable_oauth": True}
        none = {"client_email": "", "private_key": "", "private_key_id": ""}
        account.write_text(json.dumps(about | none))
        return {"GOOGLE_SERVICE_ACCOUNT": str(account), "GOOGLE_ALLOW_HTTP": "true"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = urlsplit(handler.path)
        _, bucket, key = [*url.path.split("/", 2), ""][:3]
        key = unquote(key)
        if bucket != "bucket":
            return _answer(handler, 404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if not key:
            return _answer(handler, 200, self._page(parse_qs(url.query)))
        with self._lock:
            known = self.objects.get(key)
            if handler.command == "PUT":
                return self._put(handler, key, body, known)
            if handler.command == "DELETE":
                self.objects.pop(key, None)
                return _answer(handler, 204)
        return self._get(handler, known)

    def _put(self, handler, key: str, body: bytes, known: Stored | None) -> None:
        wanted = handler.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != (known.version if known else 0):
            return _answer(handler, 412, b"<Error><Code>PreconditionFailed</Code></Error>")
        mark = "x-goog-meta-"
        headers = {name.lower(): value for name, value in handler.headers.items()}
        about = {name: value for name, value in headers.items() if name.startswith(mark)}
        self._number += 1
        self.objects[key] = Stored(body, self._number, about)
        return _answer(handler, 200, b"", _headers(self.objects[key]))

    def _get(self, handler, known: Stored | None) -> None:
        if known is None:
            return _answer(handler, 404, b"<Error><Code>NoSuchKey</Code></Error>")
        wanted = handler.headers.get("If-Match")
        if wanted and wanted.strip('"') != known.etag:
            return _answer(handler, 412)
        data, status, headers = known.data, 200, _headers(known)
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", "")):
            begin, end = int(found[1]), min(int(found[2]) + 1, len(data))
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
            data, status = data[begin:end], 206
        return _answer(handler, status, data, headers)

    def _page(self, asked: dict[str, list[str]]) -> bytes:
        """Return a page of a list; the token that continues it is a number."""
        prefix = asked.get("prefix", [""])[0]
        begin = int(asked.get("continuation-token", ["0"])[0])
        most = min(_PAGE, int(asked.get("max-keys", [_PAGE])[0]))
        known = sorted(key for key in self.objects if key.startswith(prefix))
        is_many = "many/".startswith(prefix) or prefix.startswith("many/")
        total = len(known) + (self.made_up if is_many else 0)
        entries = []
        for number in range(begin, min(begin + most, total)):
            if number < len(known):
                found = self.objects[known[number]]
                entry = (escape(known[number]), found.etag, len(found.data))
            else:
                entry = (f"many/{number - len(known):07}.png", f"{number:032x}", 100)
            entries.append(_ENTRY.format(*entry))
        more = begin + most < total
        token = f"<NextContinuationToken>{begin + most}</NextContinuationToken>" if more else ""
        text = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(entries)}"
        text = f"<KeyCount>{len(entries)}</KeyCount>{text}"
        return f'<?xml version="1.0"?><ListBucketResult>{text}</ListBucketResult>'.encode()


def _headers(known: Stored) -> dict[str, str]:
    return {
        "ETag": f'"{known.etag}"',
        "Last-Modified": formatdate(1_750_000_000, usegmt=True),
        "x-goog-generation": str(known.version),
        **known.about,
    }


def _answer(handler, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
