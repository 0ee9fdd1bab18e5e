"""The console's own server: the page, its WebSocket, and the scene passed through; one port.

Everything is decided by :class:`kuwa_teleop.access.Access` before it is answered. The server runs
in a thread of its own; the desk that it talks to is safe to call from any.
"""

from __future__ import annotations

import asyncio
import gzip
import http
import json
import logging
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from websockets import Headers
from websockets.asyncio.client import unix_connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from kuwa_machines.errors import KuwaError
from kuwa_teleop.access import SUBPROTOCOL, Access, Bucket, check_host

PAGE: Final = Path(__file__).with_name("page")
MOST_BYTES: Final = 4096
"""Of one message from a browser."""
MOST_PAGES: Final = 12
"""WebSockets at a time, pages and scenes together."""
RATE, BURST = 120.0, 240.0
"""Messages of one page, a second and at once; beyond them it is put out."""
SLOW: Final = 256_000
"""A page behind which so many bytes wait gets no news until they are gone."""
VISER_TAG: Final = "viser-v"

TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}  # fmt: skip
# What the scene's page needs, and nothing of it may leave this console.
_SCENE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src data:; "
    "connect-src 'self' data: blob: {ws}; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' {ws}; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_SCENE_STYLE = (
    "<style>div:has(> canvas){position:absolute!important;inset:0!important;width:100%!important;"
    "height:100%!important}"
    "body div:not(:has(canvas)):not(div:has(> canvas) *){display:none!important}</style>"
)
"""Hides viser's own panel and notices: the console has its own."""


class ServerError(KuwaError):
    """The console cannot listen where it was told to."""


class Desk(Protocol):
    """What the server talks to; each call may come from the server's thread."""

    def join(self, name: str) -> str:
        """Somebody opened the page; return an id."""

    def leave(self, who: str) -> None:
        """That page is gone."""

    def hello(self, who: str) -> dict[str, Any]:
        """Return what a page needs to know once."""

    def said(self, who: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """A page said something; return an answer to it alone, or None."""


class File:
    """A file that is served; packed here, not in the thread that hears the sticks."""

    def __init__(self, body: bytes) -> None:
        self.body, self.packed = body, gzip.compress(body, 6)


class Server:
    """Serves the page until it is closed.

    Args:
        desk: see :class:`Desk`. host: to listen on. port: 0: any free one. token: made if empty.
        certificate, certificate_key: PEM files; needed for any host that is not loopback.

    Raises:
        ServerError: the port is taken, or the certificate cannot be read.
        AccessError: the host is open to others without a certificate.
    """

    def __init__(
        self, desk: Desk, host: str = "127.0.0.1", port: int = 0, token: str = "",
        certificate: str = "", certificate_key: str = "", names: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        check_host(host, certificate)
        self._desk, self._host = desk, host
        self.access = Access(token, host, port, bool(certificate), names)
        self._ssl = _context(certificate, certificate_key) if certificate else None
        self._files = {f"/{path.name}": File(path.read_bytes()) for path in sorted(PAGE.iterdir())
                       if path.suffix in TYPES}  # fmt: skip
        self._files["/"] = self._files.pop("/console.html")
        self._scene: File | None = None
        self._socket: Path | None = None
        self._pages: dict[ServerConnection, str] = {}
        self._open = 0
        self._loop = asyncio.new_event_loop()
        self._ending: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(
            target=self._main, args=(port,), name="console", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(10.0):
            raise ServerError(f"{host} port {port}: not there within 10 s")
        if self._failed is not None:
            raise ServerError(f"{host} port {port}: {self._failed}; choose another port")

    @property
    def url(self) -> str:
        """Where people open the page, with the token in the fragment."""
        return f"{self.access.scheme}://{self._host}:{self.access.port}/#{self.access.token}"

    @property
    def pages(self) -> int:
        """Pages that are open."""
        return len(self._pages)

    def show(self, socket: Path, page: Path) -> None:
        """Pass on the scene of a sealed viser from now on, and serve its page."""
        self._scene, self._socket = File(_scene_html(page)), socket

    def close(self) -> None:
        """Put everybody out and stop listening."""
        if self._ending is not None and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(5.0)

    def tell(self, message: str | bytes) -> None:
        """Send a message to every page, from any thread; slow pages miss it."""
        if self._pages and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell, message)

    # The thread ------------------------------------------------------------------------------

    def _main(self, port: int) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(port))
        except Exception as error:  # whatever it is: nobody hears of a thread that ended
            self._failed = error
            logging.getLogger(__name__).exception("the console's server ended")
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self, port: int) -> None:
        self._ending = asyncio.Event()
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        async with serve(
            self._connected, self._host, port, process_request=self._decide,
            select_subprotocol=_chosen, max_size=MOST_BYTES, compression=None, ssl=self._ssl,
            open_timeout=5.0, ping_interval=5.0, ping_timeout=5.0, max_queue=64,
            server_header=None,
        ) as server:  # fmt: skip
            self.access.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._ending.wait()

    def _tell(self, message: str | bytes) -> None:
        for page in list(self._pages):
            transport = page.transport
            if transport is None or transport.get_write_buffer_size() > SLOW:
                continue
            task = self._loop.create_task(_send(page, message))
            task.add_done_callback(lambda done: done.exception())

    # Requests --------------------------------------------------------------------------------

    def _decide(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request, or let a WebSocket through with None."""
        path = request.path.partition("?")[0]
        headers = request.headers
        upgrade = headers.get("Upgrade", "").lower() == "websocket"
        refused = self.access.foreign(headers, needs_origin=upgrade)
        if refused:
            return _answer(http.HTTPStatus.FORBIDDEN, refused)
        if upgrade:
            return self._decide_socket(path, headers)
        if path == "/session":
            return self._session(headers)
        if path == "/ticket":
            return self._ticket(headers)
        if path in self._files:
            kind = TYPES[Path(path).suffix or ".html"]
            return self._file(self._files[path], kind, _PAGE_POLICY, headers)
        parts = path.strip("/").split("/")
        if self._scene and self._shows(parts):
            return self._file(self._scene, TYPES[".html"], _SCENE_POLICY, headers)
        return _answer(http.HTTPStatus.NOT_FOUND, "there is nothing here")

    def _decide_socket(self, path: str, headers: Headers) -> Response | None:
        if self._open >= MOST_PAGES:
            return _answer(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open")
        protocols = ",".join(headers.get_all("Sec-WebSocket-Protocol"))
        if path == "/ws":
            if self.access.may_drive(protocols):
                return None
            return _answer(http.HTTPStatus.UNAUTHORIZED, "no session")
        parts = path.strip("/").split("/")
        if self._socket is not None and self._shows(parts):
            return None
        return _answer(http.HTTPStatus.UNAUTHORIZED, "no session")

    def _shows(self, parts: list[str]) -> bool:
        return len(parts) == 2 and parts[0] == "scene" and self.access.may_look(parts[1])

    def _session(self, headers: Headers) -> Response:
        found = self.access.open(time.monotonic(), _bearer(headers))
        if isinstance(found, str):
            return _not_let_in(found)
        body = json.dumps({"drive": found.drive, "view": found.view})
        return _answer(http.HTTPStatus.OK, body, "application/json")

    def _ticket(self, headers: Headers) -> Response:
        # A GET that changes something, since this server knows no other method; no foreign page
        # can send it: it cannot set the header.
        ticket, why = self.access.ticket(time.monotonic(), _bearer(headers))
        return _not_let_in(why) if why else _answer(http.HTTPStatus.OK, ticket)

    def _file(self, file: File, kind: str, policy: str, headers: Headers) -> Response:
        ws = f"{'wss' if self._ssl else 'ws'}://{headers['Host']}"
        extra = {"Content-Security-Policy": policy.format(ws=ws)}
        body = file.body
        if len(body) > 2000 and "gzip" in headers.get("Accept-Encoding", ""):
            body, extra["Content-Encoding"] = file.packed, "gzip"
        return _answer(http.HTTPStatus.OK, body, kind, extra)

    # Sockets ---------------------------------------------------------------------------------

    async def _connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self._open += 1
        try:
            if connection.request.path.partition("?")[0] == "/ws":
                await self._page(connection)
            else:
                await self._pass_scene(connection)
        finally:
            self._open -= 1

    async def _page(self, page: ServerConnection) -> None:
        desk, bucket = self._desk, Bucket(RATE, BURST)
        who = desk.join("")
        try:
            await page.send(json.dumps({"t": "hello", "id": who, **desk.hello(who)}))
            self._pages[page] = who
            async for raw in page:
                if not bucket.take(time.monotonic()):
                    await page.close(1008, "too many messages")
                    return
                try:
                    message = json.loads(raw)
                except ValueError:
                    message = None
                if not isinstance(message, dict):
                    await page.close(1003, "not a message of the console")
                    return
                answer = desk.said(who, message)
                if answer is not None:
                    await page.send(json.dumps(answer))
        except ConnectionClosed:
            pass
        finally:
            self._pages.pop(page, None)
            desk.leave(who)

    async def _pass_scene(self, browser: ServerConnection) -> None:
        """Pass on what viser sends; what the browser sends is read and thrown away."""
        tag = browser.request.headers.get("Sec-WebSocket-Protocol", "") if browser.request else ""
        words = [part.strip() for part in tag.split(",")]
        offered = [Subprotocol(word) for word in words if word.startswith(VISER_TAG)]
        assert self._socket is not None
        try:
            async with unix_connect(
                str(self._socket), "ws://viser/", subprotocols=offered[:1], max_size=None,
                compression=None, ping_interval=None,
            ) as viser:  # fmt: skip
                drain = asyncio.create_task(_drain(browser))
                try:
                    async for message in viser:
                        await browser.send(message)
                finally:
                    drain.cancel()
        except (ConnectionClosed, OSError):
            pass


async def _drain(browser: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in browser:
            pass


async def _send(page: ServerConnection, message: str | bytes) -> None:
    with suppress(ConnectionClosed):
        await page.send(message)


def _chosen(connection: ServerConnection, offered: Any) -> Subprotocol | None:
    for each in offered:
        if each == SUBPROTOCOL or each.startswith(VISER_TAG):
            return Subprotocol(each)
    return None


def _bearer(headers: Headers) -> str:
    """Return the token or ticket of a request, or ``""``."""
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme == "Bearer" else ""


def _not_let_in(why: str) -> Response:
    many = why.startswith("too many")
    status = http.HTTPStatus.TOO_MANY_REQUESTS if many else http.HTTPStatus.UNAUTHORIZED
    return _answer(status, why)


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(f"certificate {certificate}: {error}") from None
    return context


def _scene_html(page: Path) -> bytes:
    text = page.read_text("utf-8")
    end = text.index("</head>")
    return (text[:end] + _SCENE_STYLE + text[end:]).encode()


def _answer(
    status: http.HTTPStatus, body: str | bytes, kind: str = "text/plain; charset=utf-8",
    extra: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    data = body.encode() if isinstance(body, str) else body
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            **(extra or {}),
        }
    )
    return Response(status.value, status.phrase, headers, data)
