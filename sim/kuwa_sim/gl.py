"""OpenGL without a window."""

from __future__ import annotations

import ctypes
import os
from importlib import import_module
from typing import Any

from kuwa_machines.errors import KuwaError

REMEDY = "sudo apt-get install libegl1 libgl1-mesa-dri libgles2 libosmesa6"
LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}


class RenderError(KuwaError):
    """No picture can be made on this computer, and what to install."""


def open_gl(width: int, height: int) -> Any:
    """Return a current OpenGL context without a window: EGL, or OSMesa where EGL is missing.

    Raises:
        RenderError: neither is there; it names the package to install.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    kinds = [asked] if asked in LIBRARIES else list(LIBRARIES)
    failures = []
    for kind in kinds:
        try:
            ctypes.CDLL(LIBRARIES[kind])
            context = import_module(f"mujoco.{kind}").GLContext(width, height)
            context.make_current()
            return context
        except Exception as error:  # every binding fails in its own way
            failures.append(f"{kind}: {error}")
            os.environ.pop("PYOPENGL_PLATFORM", None)
    raise RenderError(f"no picture without OpenGL ({'; '.join(failures)}); install it: {REMEDY}")
