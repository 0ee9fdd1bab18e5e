"""Shows the machine on every page: numbers, pictures and the scene, in a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from kuwa_hardware.operator.core import Wish
from kuwa_machines.spec import MachineSpec
from kuwa_teleop.desk import Desk
from kuwa_teleop.news import News
from kuwa_teleop.server import Server

VIEW_PERIOD, GROUND_PERIOD, PICTURE_PERIOD = 0.05, 0.5, 0.2


class Painter:
    """Sends what there is to see, beside the thread of the sticks.

    Args:
        desk, news, server: whose views go out. spec: of the machine that the scene shows.
        note: tells the people. failed: told of an error of one round; the next is tried.
    """

    def __init__(
        self, desk: Desk, news: News, server: Server, spec: MachineSpec,
        note: Callable[[str, bool], None], failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._desk, self._news, self._server, self._spec = desk, news, server, spec
        self._note, self._failed = note, failed
        self.wish: Wish | None = None
        """What the sticks say now; nothing is shown before they say something."""
        self._scene: Any = None
        self._due = dict.fromkeys(("ground", "pic"), 0.0)
        self._drawing = False
        self._thread: threading.Thread | None = None

    def start(self, scene: bool) -> None:
        """Begin; ``scene``: with the view in three dimensions."""
        self._drawing = True
        self._thread = threading.Thread(target=self._draw, name="page", daemon=True)
        self._thread.start()
        if scene and self._scene is None:
            # It comes later: what draws takes seconds to load.
            threading.Thread(target=self._make_scene, name="scene", daemon=True).start()

    def stop(self) -> None:
        """Send nothing more."""
        self._drawing = False
        if self._thread is not None:
            self._thread.join(2.0)

    def close(self) -> None:
        """Take the scene away."""
        self.stop()
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _draw(self) -> None:
        while self._drawing:
            now = time.monotonic()
            try:
                self._show(now)
            except Exception as error:
                self._failed(error)
            time.sleep(max(VIEW_PERIOD - (time.monotonic() - now), 0.005))

    def _make_scene(self) -> None:
        from kuwa_teleop.scene import Scene
        from kuwa_teleop.sealed import CLIENT

        try:
            scene = Scene(self._spec)
        except Exception as error:
            self._note(f"no view in three dimensions: {error}", False)
            return
        if not self._drawing:
            scene.close()
            return
        self._server.show(scene.viser.socket, CLIENT)
        self._scene, self._desk.scene_ready = scene, True

    def _show(self, now: float) -> None:
        news, server, desk = self._news, self._server, self._desk
        if self.wish is None:
            return
        news.look_around(now)
        if not server.pages:
            return
        state = {"t": "s", "n": desk.number(now), "desk": desk.view(now, self.wish),
                 "m": news.view(now)}  # fmt: skip
        server.tell(json.dumps(state))
        if self._is_due("pic", now, PICTURE_PERIOD):
            for k, jpeg in news.pictures():
                server.tell(bytes([k]) + jpeg)
        if self._scene is None:
            return
        self._scene.pose(news.q, news.base, news.wxyz)
        if news.terrain is not None and self._is_due("ground", now, GROUND_PERIOD):
            self._scene.ground(news.terrain)
            if news.task is not None:
                self._scene.task(news.task)
                news.task = None

    def _is_due(self, what: str, now: float, period: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + period
        return True
