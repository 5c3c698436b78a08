"""A server in this process for tests, and a client that asks it as a browser would."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featcli.serve.answers import Answers
from featcli.serve.backend import Backend
from featcli.serve.models import Models
from featcli.serve.server import Server

HALF_GIGABYTE = 500_000_000


class Client:
    """Asks one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.access.port
        self.token = server.access.token

    def ask(
        self, method: str, path: str, body: bytes | None = None, token: bool = True, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body; `Sec_Fetch_Site=` is the header Sec-Fetch-Site."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            given.setdefault("X-Featcli-Token", self.token)
        try:
            connection.request(method, path, body, given)
            reply = connection.getresponse()
            return reply.status, dict(reply.headers), reply.read()
        finally:
            connection.close()

    def json(self, path: str, **asked: Any) -> tuple[int, Any]:
        status, _, body = self.ask("POST", path, json.dumps(asked).encode())
        return status, json.loads(body)

    def send(self, path: str, data: bytes, name: str) -> tuple[int, Any]:
        from urllib.parse import quote

        status, _, body = self.ask("POST", f"{path}?name={quote(name)}", data)
        return status, json.loads(body)

    def picture(self, path: Path) -> str:
        """Send a picture and return its key."""
        status, found = self.send("/api/picture", path.read_bytes(), path.name)
        assert status == 200, found
        return found["picture"]

    def run(self, picture: str, *steps: str) -> Any:
        """Run steps, each written as words."""
        status, found = self.json("/api/run", picture=picture, steps=[s.split() for s in steps])
        assert status == 200, found
        return found

    def map(self, key: str, part: int = 0) -> tuple[bytes, dict[str, Any]]:
        status, headers, body = self.ask("GET", f"/map/{key}/{part}")
        assert status == 200, body
        return body, json.loads(headers["X-Featcli-Mapping"])


@contextmanager
def served(
    max_memory: int = HALF_GIGABYTE, seconds: float = 60, models: tuple[str, ...] = ()
) -> Iterator[Client]:
    """Serve at a free port for the time of a with block."""
    backend = Backend(max_memory, Models(models))
    server = Server("127.0.0.1", 0, seconds)
    server.answers = Answers(backend, [], {})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Client(server)
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
        backend.close()


def png(data: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(data).save(stream, "PNG")
    return stream.getvalue()
