"""Who may ask: the right host, the token, and no page of another origin."""

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
    """The conditions that every request is held to.

    A page of another site can make a browser ask 127.0.0.1, and by a name that it controls (DNS
    rebinding) even read the answer. The `Host` header then has that name; and no other page knows
    the token.

    Attributes
    ----------
    host : str
        The address that is listened at.
    port : int
    token : str
        43 letters and digits, new at every start.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def address(self) -> str:
        """Return what a person opens."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/?token={self.token}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in _LOCAL

    def refusal(self, headers: Mapping[str, str], token: str, opens: bool = False) -> str:
        """Say why a request is not answered; empty if it may be.

        Parameters
        ----------
        headers : mapping of str to str
        token : str
            What the address says; empty if the header has it.
        opens : bool
            Whether it opens the page itself: a person may follow a link to it from anywhere.
        """
        host = headers.get("Host", "")
        if not self._is_known(host):
            return "the Host header names another machine"
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return "a page of another origin asks"
        is_link = opens and headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if not is_link and headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "a page of another site asks"
        given = token or headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "the token is missing or wrong: use the address that featcli serve printed"
        return ""

    def _is_known(self, host: str) -> bool:
        """Say whether a Host header names this server; a name that it was not told, does not."""
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
    """Numbers, unlike names, lead nowhere else."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


__all__ = ["HEADER", "Access"]
