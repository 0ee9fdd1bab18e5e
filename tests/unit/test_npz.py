"""Arrays from strangers' files: whole ones come back, others are refused with the file's name."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_machines.npz import read_npz


def saved(path: Path) -> Path:
    np.savez_compressed(path, a=np.arange(6.0).reshape(2, 3), text=np.array("häcke"))
    return path


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    arrays = read_npz(saved(tmp_path / "x.npz"), "log", 10_000)
    assert arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and str(arrays["text"]) == "häcke"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros(10_000_000))
    assert path.stat().st_size < 200_000
    with pytest.raises(KuwaError, match=r"80000128 bytes unpacked; a log has at most 1000000"):
        read_npz(path, "log", 1_000_000)


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(KuwaError, match="is no log"):
        read_npz(path, "log", 1_000_000)
    plain = tmp_path / "plain.npz"
    plain.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(KuwaError, match="is no log"):
        read_npz(plain, "log", 1_000_000)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(KuwaError, match=r"x\.npz is no log"):
        read_npz(path, "log", 1_000_000)
    with pytest.raises(KuwaError, match=r"absent\.npz is no log"):
        read_npz(tmp_path / "absent.npz", "log", 1_000_000)


def test_a_header_that_lies_about_its_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(KuwaError, match="is no log"):
        read_npz(path, "log", 1_000_000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(where=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, where: int, value: int, cut: bool
) -> None:
    data = bytearray(saved(tmp_path / "x.npz").read_bytes())
    where %= len(data)
    if cut:
        del data[where:]
    else:
        data[where] = value
    path = tmp_path / "y.npz"
    path.write_bytes(data)
    try:
        arrays = read_npz(path, "log", 1_000_000)
    except KuwaError:
        return
    assert all(isinstance(a, np.ndarray) for a in arrays.values())
