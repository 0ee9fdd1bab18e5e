"""Who may use the console: the token, sessions, Host and Origin, and how often one may try.

A page is let in by the token in the fragment of its address, which no browser sends anywhere. The
page hands it over in a header and gets two keys of its own: one to drive, one that shows the
scene. They are kept by the page, not in a cookie: browsers send cookies to every port of a host.

A browser that a program starts gets its address on a command line, which every user of the computer
can read. So there is a ticket, for which the token is given: it lets one page in, once, and soon.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kuwa_machines.errors import KuwaError

TOKEN_BYTES: Final = 24
LEAST_TOKEN: Final = 16
"""Characters of a token that people choose."""
MOST_SESSIONS: Final = 64
MOST_WRONG: Final = 10
"""Wrong tokens in :data:`WINDOW` before every token is refused for a while."""
WINDOW: Final = 60.0
TICKET: Final = "ticket."
"""What every ticket begins with."""
TICKET_LIFE: Final = 60.0
"""A ticket lets nobody in any more after this [s]."""
MOST_TICKETS: Final = 64
USED: Final = -math.inf
"""In place of the time until which a ticket is good, once it was used [s]."""
OTHER_ADDRESS: Final = "open the one that the terminal shows"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
SUBPROTOCOL: Final = "kuwa"
KEY_PREFIX: Final = "key."


class AccessError(KuwaError):
    """Token or host would keep nobody out."""


def check_host(host: str, certificate: str) -> None:
    """Refuse a host that others can reach, unless what they read is encrypted.

    Args:
        certificate: file; empty: none.

    Raises:
        AccessError: saying what would be right.
    """
    if host not in LOOPBACK and not certificate:
        raise AccessError(
            f"host {host}: others could read the token and the levers on the network; give a "
            "certificate, or stay on 127.0.0.1 and tunnel: ssh -L 8765:127.0.0.1:8765 COMPUTER"
        )


@dataclass(frozen=True, slots=True)
class Session:
    """What one page got for the token. Keys are secrets: ``drive`` speaks, ``view`` only looks."""

    drive: str
    view: str


class Access:
    """Decides on every request before anything answers it.

    Args:
        token: that people are given; made here if empty.
        host: that the console listens on, as browsers write it. port: likewise.
        secure: reached by https.
        names: further names of this computer, in the certificate say.
    """

    def __init__(
        self, token: str = "", host: str = "127.0.0.1", port: int = 0, secure: bool = False,
        names: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        if token and len(token) < LEAST_TOKEN:
            raise AccessError(
                f"token of {len(token)} characters; give at least {LEAST_TOKEN} that nobody guesses"
            )
        self.token = token or secrets.token_urlsafe(TOKEN_BYTES)
        self.port, self._secure = port, secure
        self._names = {*LOOPBACK, host, *names} if host in LOOPBACK else {host, *names}
        self._sessions: dict[str, Session] = {}
        self._views: set[str] = set()
        self._tickets: dict[str, float] = {}
        self._wrong: list[float] = []

    @property
    def scheme(self) -> str:
        """Of the page."""
        return "https" if self._secure else "http"

    def foreign(self, headers: Mapping[str, str], needs_origin: bool) -> str:
        """Return why a request does not come from our own page, or ``""``.

        A wrong Host is a page that was given our address under its own name (DNS rebinding).

        Args:
            needs_origin: as a WebSocket does, which browsers always send with one.
        """
        host = headers.get("Host", "")
        name, _, port = host.rpartition(":")
        if name not in self._names or port != str(self.port):
            return f"host {host[:80]!r} is not this console"
        origin = headers.get("Origin")
        if origin is None:
            if needs_origin:
                return "no origin"
        elif origin != f"{self.scheme}://{host}":
            return f"origin {origin[:80]!r} is not this console"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "asked for by another site"
        return ""

    def open(self, now: float, secret: str) -> Session | str:
        """Return a session for the token or a ticket at steady time ``now`` [s], or why not."""
        why = self._refused(now, secret, tickets=True)
        if why:
            return why
        session = Session(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))
        if len(self._sessions) >= MOST_SESSIONS:
            oldest = next(iter(self._sessions))
            self._views.discard(self._sessions.pop(oldest).view)
        self._sessions[session.drive] = session
        self._views.add(session.view)
        return session

    def ticket(self, now: float, token: str) -> tuple[str, str]:
        """Return a ticket for the token at steady time ``now`` [s], and why there is none.

        There is none for another ticket: who reads one on a command line gets no further.
        """
        why = self._refused(now, token)
        if why:
            return "", why
        ticket = TICKET + secrets.token_urlsafe(TOKEN_BYTES)
        if len(self._tickets) >= MOST_TICKETS:
            self._tickets.pop(next(iter(self._tickets)))
        self._tickets[ticket] = now + TICKET_LIFE
        return ticket, ""

    def _refused(self, now: float, secret: str, tickets: bool = False) -> str:
        """Return why a secret is neither the token nor, with ``tickets``, a ticket, or ``""``."""
        self._wrong = [t for t in self._wrong if now - t < WINDOW]
        if len(self._wrong) >= MOST_WRONG:
            return "too many wrong tokens; wait a minute"
        if hmac.compare_digest(secret.encode(), self.token.encode()):
            return ""
        ticket = tickets and secret.startswith(TICKET)
        why = self._use(now, secret) if ticket else "wrong token"
        if why:
            self._wrong.append(now)
        return why

    def _use(self, now: float, ticket: str) -> str:
        """Use a ticket up; return why it does not count, or ``""``."""
        if not _among(ticket, self._tickets):
            return f"this address is not known here; {OTHER_ADDRESS}"
        until = self._tickets[ticket]
        if until == USED:
            return f"this address was used already; {OTHER_ADDRESS}"
        if now > until:
            return f"this address is too old; {OTHER_ADDRESS}"
        self._tickets[ticket] = USED
        return ""

    def may_drive(self, protocols: str) -> bool:
        """Return whether the offered subprotocols of a WebSocket hold the key of a session."""
        offered = [part.strip() for part in protocols.split(",")]
        keys = [part.removeprefix(KEY_PREFIX) for part in offered if part.startswith(KEY_PREFIX)]
        return SUBPROTOCOL in offered and len(keys) == 1 and _among(keys[0], self._sessions)

    def may_look(self, key: str) -> bool:
        """Return whether a key shows the scene."""
        return _among(key, self._views)


def _among(key: str, valid: Iterable[str]) -> bool:
    # Every one is compared, so that the time it takes says nothing of how near a guess was.
    found = False
    for each in valid:
        found |= hmac.compare_digest(key.encode(), each.encode())
    return found


class Bucket:
    """A rate limit: so many at once, so many a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, 0.0

    def take(self, now: float) -> bool:
        """Return whether one more is allowed at steady time ``now`` [s]."""
        self._left = min(self._burst, self._left + self._rate * max(now - self._at, 0.0))
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
