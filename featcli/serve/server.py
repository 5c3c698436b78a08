"""The HTTP server: it checks access first, and limits size, time and number of requests."""

from __future__ import annotations

import io
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from featcli.errors import FeatError
from featcli.serve.access import Access
from featcli.serve.answers import Answers, Reply, refusal

_SECONDS = 60.0  # time limit for receiving a request
_CONNECTIONS = 40  # most simultaneous connections
_SENT = 400 << 20  # most bytes that all requests together may be sending
_PIECE = 1 << 16
_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _TimedStream(io.RawIOBase):
    """A stream from a connection, with a deadline for all reads together."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the available bytes; raises TimeoutError after the deadline."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _ByteLimit:
    """A limit on the bytes that all requests together may be sending."""

    def __init__(self, size: int) -> None:
        self._left, self._lock = size, threading.Lock()

    def take(self, size: int) -> bool:
        """Reserve `size` bytes; return False if that is more than is left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Release `size` bytes."""
        with self._lock:
            self._left += size


class Server(ThreadingHTTPServer):
    """A server with a thread for each request, and a limited number of requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, seconds: float = _SECONDS) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.seconds, self.room = seconds, _ByteLimit(_SENT)
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FeatError(
                f"cannot listen at {host}:{port}: {reason}; --port 0 chooses a free port"
            ) from error
        self.access = Access(host, self.server_address[1])
        self.answers: Answers | None = None

    def server_bind(self) -> None:
        """Bind the address without looking up its host name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a request, or close the connection if there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer the request, then allow another one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections; print one line for any other error."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"featcli serve: unexpected {error!r} (please report it)", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    """One request on one connection."""

    server: Server
    server_version = "featcli"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Set the deadline for reading."""
        super().setup()
        self.rfile = io.BufferedReader(_TimedStream(self.connection, self.server.seconds), _PIECE)

    def do_GET(self) -> None:
        """Answer a GET request."""
        path = self._checked_path()
        if path is not None:
            reply = self._answers.get(path, self._query("view"))
            self._send(reply or refusal(404, "there is no such page"))

    def do_POST(self) -> None:
        """Answer a POST request."""
        path = self._checked_path()
        if path is None:
            return None
        limit = self._answers.limit(path)
        if limit is None:
            return self._send(refusal(404, "there is nothing to send this to"))
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or self.headers.get("Transfer-Encoding"):
            return self._send(refusal(411, "the request must say its length"))
        if len(length) > 12 or int(length) > limit:
            return self._send(refusal(413, f"more than {limit >> 20} MiB: make it smaller first"))
        if not self.server.room.take(int(length)):
            return self._send(refusal(503, "too much is being sent at once: try again"))
        try:
            return self._answer_post(path, int(length))
        finally:
            self.server.room.give(int(length))

    def _answer_post(self, path: str, length: int) -> None:
        """Read the body of a request, and answer it."""
        body = self.rfile.read(length)
        if len(body) == length:  # otherwise the client has disconnected
            self._send(self._answers.post(path, body, self._query("name")))

    def _query(self, name: str) -> str:
        """Return a parameter of the query; raises ValueError for an invalid query."""
        return parse_qs(urlsplit(self.path).query, max_num_fields=9).get(name, [""])[0]

    @property
    def _answers(self) -> Answers:
        assert self.server.answers
        return self.server.answers

    def _checked_path(self) -> str | None:
        """Return the requested path; if it is not allowed, send a refusal and return None."""
        try:
            parts, token = urlsplit(self.path), self._query("token")
        except ValueError:
            self._send(refusal(400, "the address is wrong"))
            return None
        opens = self.command == "GET" and parts.path == "/"
        # Names of headers are case-insensitive.
        headers = {name.title(): value for name, value in self.headers.items()}
        reason = self.server.access.refusal(headers, token, opens)
        if reason:
            self._send(refusal(403, reason))
            return None
        return parts.path

    def _send(self, reply: Reply) -> None:
        """Send the response and close the connection."""
        length = len(reply.body) + sum(map(len, reply.more))
        told = {"Content-Type": reply.kind, "Content-Length": str(length)}
        lines = [f"HTTP/1.0 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [
            f"{name}: {value}" for name, value in {**told, **_ALWAYS, **reply.headers}.items()
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.close_connection = True
        self.connection.settimeout(self.server.seconds)
        self.wfile.write(head)
        for piece in (reply.body, *reply.more):  # apart: they are not copied for each who asks
            self.wfile.write(piece)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a malformed request, without repeating any part of it."""
        self._send(refusal(int(code), "the request is wrong"))

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log requests to the terminal."""
