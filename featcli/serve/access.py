"""Access control: the Host header, the origin, and the token of a request."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEADER = "X-Featcli-Token"
_LOCAL = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Access:
    """The conditions that every request must meet.

    A page of another site can make a browser send requests to 127.0.0.1, and even read the
    response if it uses a host name that it controls (DNS rebinding). But then the `Host` header
    has that name, and the page does not know the token.

    Attributes
    ----------
    host : str
        The address of the server.
    port : int
    token : str
        43 random characters, new at every start.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/?token={self.token}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in _LOCAL

    def refusal(self, headers: Mapping[str, str], token: str, opens: bool = False) -> str:
        """Return why a request is refused; empty if it is allowed.

        Parameters
        ----------
        headers : mapping of str to str
        token : str
            The token in the address; empty if it is in the header.
        opens : bool
            Whether the page itself is requested, which a link on any site may do.
        """
        host = headers.get("Host", "")
        if not self._is_known(host):
            return "the Host header names another machine"
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return "the request comes from a page of another origin"
        is_link = opens and headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if not is_link and headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "the request comes from a page of another site"
        given = token or headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "the token is missing or wrong: use the address that featcli serve printed"
        return ""

    def _is_known(self, host: str) -> bool:
        """Whether a Host header names this server, by a name that it was started with."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.username is not None or parts.path:
            return False
        if self.is_local:
            return name in _LOCAL
        return name == self.host.lower() or name in _LOCAL or _is_number(name)


def _is_number(name: str) -> bool:
    """Whether a host is an IP address, which DNS rebinding cannot redirect."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
