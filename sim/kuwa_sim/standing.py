"""Undercarriages in a MuJoCo model: tracks or tyres, bound to its arrays, and their drives."""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np
from numba import njit

from kuwa_machines.spec import MachineSpec, Tracks
from kuwa_sim.marks import N_MARKED, track_marks, tyre_marks
from kuwa_sim.soil import Ground
from kuwa_sim.tracks import TrackContact, track_forces
from kuwa_sim.tyres import TyreContact, tyre_forces


class Standing(Protocol):
    """What a machine stands on."""

    rest_height: float
    """Height of the machine's origin over level ground at rest [m]."""

    def reset(self) -> None:
        """Forget the ground."""

    def apply(self) -> None:
        """Put the ground's forces on the machine, every physics step."""

    def mark(self) -> None:
        """Press the ground down where the machine stands, every tick."""


class OnTracks:
    """Two tracks and their sprockets."""

    def __init__(
        self, spec: MachineSpec, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData,
        prefix: str, dt: float,
    ) -> None:  # fmt: skip
        tracks = spec.undercarriage
        assert isinstance(tracks, Tracks)
        self.contact = TrackContact(spec, ground)
        self.rest_height = self.contact.rest_height
        link = model.body(prefix + tracks.link).id
        first = int(model.body_dofadr[link])
        names = (tracks.right, tracks.left)
        dofs = [-1 if n is None else int(model.joint(prefix + n).dofadr[0]) for n in names]
        c = self.contact
        self._args = (
            c.points, c.shear, c.sides, c.parameters, np.array(dofs), data.xpos[link],
            data.xmat[link], data.qvel[first : first + 6], data.qvel, data.qfrc_applied,
            data.xipos[link], np.zeros(2), np.zeros(2), *c.ground_args,
            data.xfrc_applied[link], dt,
        )  # fmt: skip
        self._marked = np.zeros(N_MARKED)
        self._mark_args = (
            c.points, c.shear, c.sides, c.parameters, self._marked, *_layers(ground),
            data.xpos[link], data.xmat[link],
        )  # fmt: skip

    def reset(self) -> None:
        """Forget the ground."""
        self.contact.reset()
        self._marked[:] = 0.0

    def apply(self) -> None:
        """Put the ground's forces on the hull and the sprockets; after the drives."""
        apply_tracks(*self._args)

    def mark(self) -> None:
        """Press the tracks' ruts."""
        track_marks(*self._mark_args)


class OnTyres:
    """Wheels with tyres."""

    def __init__(
        self, spec: MachineSpec, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData,
        prefix: str, dt: float,
    ) -> None:  # fmt: skip
        self.contact = TyreContact(spec, ground)
        self.rest_height = self.contact.rest_height
        c = self.contact
        bodies = np.array([model.body(prefix + link).id for link in c.links])
        root = int(model.body_rootid[bodies[0]])
        self._args = (
            c.parameters, c.states, bodies, data.xpos, data.xmat, data.xipos, data.cvel,
            data.subtree_com[root], *c.ground_args, data.xfrc_applied, dt,
        )  # fmt: skip
        self._mark_args = (
            c.parameters, c.states, *_layers(ground), bodies, data.xpos, data.xmat,
        )  # fmt: skip

    def reset(self) -> None:
        """Forget the ground."""
        self.contact.reset()

    def apply(self) -> None:
        """Put the ground's forces on the wheels."""
        tyre_forces(*self._args)

    def mark(self) -> None:
        """Press the wheels' ruts."""
        tyre_marks(*self._mark_args)


def _layers(ground: Ground) -> tuple[np.ndarray, ...]:
    """Return what ``press`` changes."""
    return (
        ground.bank, ground.loose, ground.packed, ground.height, ground.tiles, ground.prm,
    )  # fmt: skip


def make_standing(
    spec: MachineSpec, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData, prefix: str,
    dt: float,
) -> Standing:  # fmt: skip
    """Return the undercarriage of a machine."""
    kind = OnTracks if isinstance(spec.undercarriage, Tracks) else OnTyres
    return kind(spec, ground, model, data, prefix, dt)


# fmt: off
@njit(cache=True)
def apply_tracks(  # type: ignore[no-untyped-def]
    points, shear, sides, p, dofs, position, rotation, base, qvel, qfrc, com, spin, reaction,
    height, loose, packed, grid, wrench, dt,
):
    # fmt: on
    """Put the ground's force on the undercarriage; a free joint's spin is in the body's frame."""
    w = np.empty(3)
    for i in range(3):
        k = 3 * i
        w[i] = rotation[k] * base[3] + rotation[k + 1] * base[4] + rotation[k + 2] * base[5]
    for k in range(2):
        spin[k] = qvel[dofs[k]] if dofs[k] >= 0 else 0.0
    track_forces(
        points, shear, sides, p, position, rotation, base[:3], w, com, spin, reaction, height,
        loose, packed, grid, wrench, dt,
    )  # fmt: skip
    for k in range(2):
        if dofs[k] >= 0:
            qfrc[dofs[k]] += reaction[k]
