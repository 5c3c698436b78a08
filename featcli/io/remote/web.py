"""Reads single objects from `https://`, with the standard library.

A URL may contain a password or a signature. They are sent to the server only: the query and
the part before `@` never appear in messages, records or keys.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import posixpath
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from featcli.budget import format_size
from featcli.errors import ReadError, UsageError

_PIECE = 1 << 20
_TIMEOUT = 30  # seconds without data
_PATIENCE = 60  # seconds during which a request is retried
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_OPEN_KEYS = ("size", "etag", "modified")


class Address:
    """The URL of an object, which is always shown without secrets.

    Parameters
    ----------
    text : str
        The URL as given.

    Attributes
    ----------
    shown : str
        The URL without user name, password and query.
    """

    def __init__(self, text: str) -> None:
        try:
            parts = urllib.parse.urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise UsageError("an address of https:// has a host or port that is none") from None
        if not host or any(ord(sign) <= 32 or ord(sign) == 127 for sign in host):
            raise UsageError("an address of https:// names no host")
        where = f"[{host}]" if ":" in host else host
        where += f":{port}" if port else ""
        self.shown = f"{parts.scheme.lower()}://{where}{parts.path}"
        quoted = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = urllib.parse.quote(parts.query, safe="%/:@!$&'()*+,;=~-._?")
        self._asked = urllib.parse.urlunsplit((parts.scheme.lower(), where, quoted, query, ""))
        self._who = ""
        if parts.username is not None:
            pair = f"{parts.username}:{parts.password or ''}"
            self._who = base64.b64encode(urllib.parse.unquote_to_bytes(pair)).decode()

    def __repr__(self) -> str:
        return self.shown

    @property
    def name(self) -> str:
        """The last part of the path."""
        return posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(self._asked).path))

    def state(self) -> dict[str, Any]:
        """Return size, ETag and date from the headers, to detect changes."""
        with self.open() as answer:
            heads = answer.headers
            found = (heads["Content-Length"], heads["ETag"], heads["Last-Modified"])
        told = zip(_OPEN_KEYS, found, strict=True)
        state: dict[str, Any] = {name: f"'{urllib.parse.quote(one)}'" for name, one in told if one}
        return state or {"size": "unknown"}

    def get(self, most: int) -> bytes:
        """Read the object; raises ReadError if it exceeds `most` bytes."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._whole(most)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise self._explained(error) from None
                time.sleep(0.5)

    def _whole(self, most: int) -> bytes:
        found = bytearray()
        with self.open() as answer:
            size = int(answer.headers["Content-Length"] or 0)
            while piece := answer.read(_PIECE):
                found += piece
                if max(len(found), size) > most:
                    raise ReadError(
                        f"{self.shown}: larger than {format_size(most)} (see --max-memory)"
                    )
        if len(found) < size:
            raise http.client.IncompleteRead(b"")
        return bytes(found)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it arrives; a broken transfer is not retried."""
        try:
            with self.open() as answer:
                while piece := answer.read(_PIECE):
                    yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._explained(error) from None

    @contextlib.contextmanager
    def open(self) -> Iterator[Any]:
        """Request the object, and retry after temporary errors; raises ReadError."""
        deadline, wait = time.monotonic() + _PATIENCE, 0.2
        while True:
            try:
                answer = self._ask()
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                status = getattr(error, "code", None)
                is_passing = status in _PASSING or not (status or _is_refused(error))
                if not is_passing or time.monotonic() + wait > deadline:
                    raise self._explained(error) from None
            time.sleep(wait)
            wait = min(2 * wait, 5)
        with answer:
            yield answer

    def _ask(self) -> Any:
        request = urllib.request.Request(self._asked, headers={"User-Agent": "featcli"})  # noqa: S310
        if self._who:
            # An "unredirected" header is not sent again when a redirect is followed.
            request.add_unredirected_header("Authorization", f"Basic {self._who}")
        return _opener().open(request, timeout=_TIMEOUT)

    def _explained(self, error: Exception) -> ReadError:
        status = getattr(error, "code", None)
        if status in (401, 403):
            return ReadError(f"{self.shown}: no permission to read it ({status})")
        if status in (404, 410):
            return ReadError(f"{self.shown}: there is no such object ({status})")
        if status:
            return ReadError(f"{self.shown}: the server answers {status}")
        return ReadError(f"{self.shown}: the server cannot be reached, or breaks off")


class _Careful(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        """See `HTTPRedirectHandler`."""
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise urllib.error.HTTPError(req.full_url, code, "not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for kind in (
        *(urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler),
        *(urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, _Careful),
    ):
        opener.add_handler(kind())
    return opener


def _is_refused(error: Exception) -> bool:
    """Return whether a server does not exist or refuses, so that a retry is useless."""
    import socket

    reason = getattr(error, "reason", error)
    return isinstance(reason, (ConnectionRefusedError, socket.gaierror, ValueError))
