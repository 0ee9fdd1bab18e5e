"""Repair the ROS 2 wheels' CMake files, which name folders of the machine that built the wheels.

Run by set-up with the virtual environment's Python after the wheels were installed; it may run
twice. Only files of that environment are touched.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

_FOREIGN = re.compile(r"/opt/python/cp3\d+-cp3\d+/")
_NUMPY = re.compile(_FOREIGN.pattern + r"lib/python3\.\d+/site-packages/numpy/_core/include")
_PYTHON = re.compile(_FOREIGN.pattern + r"include/python3\.\d+")


def repair(text: str, python_include: str, numpy_include: str) -> str:
    """Return a CMake file's text with both foreign include folders replaced."""
    text = _NUMPY.sub(lambda _: numpy_include, text)
    return _PYTHON.sub(lambda _: python_include, text)


def repair_prefix(prefix: Path, python_include: str, numpy_include: str) -> int:
    """Repair every CMake file below ``prefix/share``; return how many were changed.

    Raises:
        RuntimeError: if a foreign folder is left, which a newer set of wheels might bring.
    """
    changed = 0
    for path in sorted(prefix.glob("share/*/cmake/*.cmake")):
        old = path.read_text()
        new = repair(old, python_include, numpy_include)
        if new != old:
            partial = path.with_suffix(".cmake.new")
            partial.write_text(new)
            partial.replace(path)
            changed += 1
        if found := _FOREIGN.search(new):
            line = new[new.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
            raise RuntimeError(
                f"{path}: unknown foreign folder in {line.strip()!r}; known are the include "
                "folders of Python and of numpy"
            )
    return changed


def main() -> None:
    """Repair the environment of the running interpreter."""
    import numpy as np

    changed = repair_prefix(Path(sys.prefix), sysconfig.get_paths()["include"], np.get_include())
    print(f"include folders corrected in {changed} CMake files of the ROS 2 wheels")


if __name__ == "__main__":
    main()
