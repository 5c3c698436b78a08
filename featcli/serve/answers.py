"""Answering requests by their path; HTTP itself is in `server`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from featcli import kernels
from featcli.errors import FeatError, UsageError
from featcli.serve.backend import Backend, Gone
from featcli.serve.page import page
from featcli.serve.steps import from_text

JSON, HTML, PNG = "application/json", "text/html; charset=utf-8", "image/png"
BYTES = "application/octet-stream"
_PICTURES = 16_000_000  # bytes of PNGs in one response; the page requests the others separately
_SMALL = 1 << 20  # most bytes of a JSON request


class Reply(NamedTuple):
    """A response; `more` is sent after `body`."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = {}
    more: Sequence[bytes] = ()


class Answers:
    """Answers requests for all paths of the server.

    Parameters
    ----------
    backend : Backend
    pictures : list of dict
        Pictures from the command line, as returned by `Backend.add_picture`.
    kernels : dict of str to str
        Kernels from the command line: their numbers as text, by name.
    """

    def __init__(
        self, backend: Backend, pictures: list[dict[str, Any]], kernels: dict[str, str]
    ) -> None:
        self._backend, self._pictures, self._kernels = backend, pictures, kernels
        self._json_routes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/api/explain": self._explain,
            "/api/classify": self._classify,
            "/api/kernel": self._kernel,
            "/api/parse": lambda asked: {"steps": from_text(_text(asked, "text"))},
        }
        self._upload_routes: dict[str, tuple[int, Callable[[bytes, str], Any]]] = {
            "/api/picture": (64 << 20, backend.add_picture),
            "/api/kernel-file": (4 << 20, backend.add_kernel),
            "/api/model": (256 << 20, backend.add_model),
        }

    @property
    def folder(self) -> Path:
        """The private folder of this server."""
        return self._backend.folder

    def limit(self, path: str) -> int | None:
        """Return how many bytes may be sent to a path; None if it does not accept data."""
        if path in self._upload_routes:
            return self._upload_routes[path][0]
        return _SMALL if path in self._json_routes or path == "/api/run" else None

    def get(self, path: str, view: str = "") -> Reply | None:
        """Answer a GET request; None if the path does not exist."""
        if path == "/":
            offered = {
                "pictures": self._pictures,
                "own": self._kernels,
                "models": self._backend.models.listed(),
            }
            return Reply(200, HTML, page(offered).encode())
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "explain":
            return _answered(lambda: Reply(200, HTML, self._backend.page(rest)))
        if kind == "map":
            key, _, part = rest.partition("/")
            place = int(part) if part.isdecimal() and len(part) < 6 else -1
            return _answered(lambda: self._map(key, place, view or "auto"))
        return None

    def post(self, path: str, body: bytes, name: str) -> Reply:
        """Answer a POST request; `name` is the name of the uploaded file on the user's machine."""
        if path in self._upload_routes:
            take = self._upload_routes[path][1]
            return _answered(lambda: _json(take(body, name)))
        if path == "/api/run":
            return _answered(lambda: self._run(_parse_json(body)))
        return _answered(lambda: _json(self._json_routes[path](_parse_json(body))))

    def _map(self, key: str, part: int, view: str) -> Reply:
        drawn = self._backend.drawn(key, part, view)
        return Reply(200, PNG, drawn.png, {"X-Featcli-Mapping": json.dumps(drawn.mapping)})

    def _run(self, asked: dict[str, Any]) -> Reply:
        """Run steps; with `shown`, the keys that the page shows already, also send the new PNGs.

        The response is then the length of the JSON as four bytes, the JSON, and the PNGs one after
        the other, so that a change in the page needs a single request.
        """
        view = _text(asked, "view", "auto")
        shown = asked.get("shown")
        if shown is not None and not (
            isinstance(shown, list) and all(isinstance(one, str) for one in shown)
        ):
            raise UsageError("shown must be a list of texts")
        found = self._backend.run(_text(asked, "picture"), asked.get("steps"), view)
        if shown is None:
            return _json(found)
        pngs = self._pngs(found["steps"], view, set(shown))
        text = _json(found).body
        return Reply(200, BYTES, len(text).to_bytes(4, "big") + text, {}, pngs)

    def _pngs(self, steps: Sequence[Any], view: str, shown: set[str]) -> list[bytes]:
        """Return the PNGs of the steps in order; add mapping and size of each to its part."""
        pngs: list[bytes] = []
        for step in steps:
            for number, part in enumerate(step["parts"]) if step["key"] not in shown else ():
                with suppress(Gone):  # the page will request it
                    drawn = self._backend.drawn(step["key"], number, view)
                    if sum(map(len, pngs)) + len(drawn.png) <= _PICTURES:
                        part["drawn"] = {**drawn.mapping, "size": len(drawn.png)}
                        pngs.append(drawn.png)
        return pngs

    def _explain(self, asked: dict[str, Any]) -> Any:
        model = _text(asked, "model", "")
        return self._backend.explain(_text(asked, "picture"), asked.get("steps"), model)

    def _kernel(self, asked: dict[str, Any]) -> Any:
        return {"values": kernels.parse(_text(asked, "text"), files=False).values.tolist()}

    def _classify(self, asked: dict[str, Any]) -> Any:
        return self._backend.classify(_text(asked, "picture"), _text(asked, "model"))


def _answered(answer: Callable[[], Reply]) -> Reply:
    """Return the answer, or an error message of one line, as for a command."""
    try:
        return answer()
    except Gone as error:
        return _json({"error": str(error), "gone": True}, 410)
    except (FeatError, ValueError) as error:
        return refusal(400, str(error))
    except MemoryError:
        return refusal(400, "the memory does not suffice for this")


def refusal(status: int, reason: str) -> Reply:
    """Return the response that says why a request is refused."""
    return _json({"error": reason}, status)


def _json(found: Any, status: int = 200) -> Reply:
    text = json.dumps(found, allow_nan=False, separators=(",", ":"))
    return Reply(status, JSON, text.encode())


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the request is not JSON") from None
    if not isinstance(found, dict):
        raise UsageError("the request must be a JSON object")
    return found


def _text(asked: dict[str, Any], name: str, default: str | None = None) -> str:
    value = asked.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text")
    return value
