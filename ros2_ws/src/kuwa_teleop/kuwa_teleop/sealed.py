"""viser behind a Unix socket: its server listens where no browser and no other user can reach it.

viser 1.1 has no authentication, accepts any Origin and can open a tunnel through a server of its
authors when a page asks it to. Its server is therefore given a socket in a folder of mode 700; who
may look is decided by the console's own server (:mod:`kuwa_teleop.server`), which passes on what
viser sends and nothing of what a browser sends.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import viser.infra._infra as infra
import websockets.asyncio.server
import websockets.datastructures
import websockets.exceptions
from viser import ViserServer

from kuwa_machines.errors import KuwaError

CLIENT = Path(infra.__file__).parents[1] / "client" / "build" / "index.html"
"""viser's page: one file that needs no other."""


class SealError(KuwaError):
    """viser could not be kept behind its socket, and was not started."""


class SealedViser:
    """A viser server that only this user's processes can reach.

    Raises:
        SealError: it would have listened elsewhere: a version of viser that is not known here.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kuwa-scene-"))
        self.socket = self._folder / "viser"
        self._sealed = False
        module: Any = infra
        whole = module.websockets
        # viser looks its listener up here when it starts; nothing else of the process is changed.
        module.websockets = SimpleNamespace(
            asyncio=SimpleNamespace(server=SimpleNamespace(serve=self._serve)),
            exceptions=websockets.exceptions,
            datastructures=websockets.datastructures,
        )
        try:
            # Its greeting would print an address that does not exist.
            with contextlib.redirect_stdout(io.StringIO()):
                self.server = ViserServer(host="127.0.0.1", port=1, verbose=False)
        finally:
            module.websockets = whole
        if not (self._sealed and self.socket.is_socket()):
            self.server.stop()
            self.close()
            raise SealError("viser did not take its Unix socket; expected version 1.1")

    def _serve(self, handler: Any, host: str, port: int, **options: Any) -> Any:
        self._sealed = True
        return websockets.asyncio.server.unix_serve(handler, str(self.socket), **options)

    def close(self) -> None:
        """Stop it and remove its folder."""
        server = getattr(self, "server", None)
        if server is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
