"""Tools, tracks and tyres of machines, held in a steady state, and the force they then feel."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines import load_machine
from kuwa_machines.contracts import Array
from kuwa_machines.spec import Blade, Bucket, Plough, Tracks, Wheels
from kuwa_sim.soil import BucketShape, BucketTool, Ground, load_soil, tool_forces
from kuwa_sim.soil.blade import BladeTool, blade_forces
from kuwa_sim.soil.plough import PloughTool, plough_forces
from kuwa_sim.tracks import RESISTANCE, SINK, STIFFNESS, THRUST, TrackContact, track_forces
from kuwa_sim.tyres import LOAD, PULL, TyreContact, tyre_forces

CELLS = (160, 160)
SETTLED = 3000
"""Steps of 2 ms after which nothing changes any more."""


def _flat(soil: str) -> Ground:
    ground = Ground(load_soil(soil), CELLS)
    ground.reset()
    return ground


def _pose(z: float, pitch: float, speed: float = 0.0) -> Array:
    """Return a tool's pose: edge at (0, 0, z), along y, pitched nose down [rad]."""
    c, s = math.cos(pitch), math.sin(pitch)
    return np.array(
        [0.0, 0.0, z, speed, 0.0, 0.0, 0.0, 0.0, 0.0, c, 0.0, -s, 0.0, 1.0, 0.0, s, 0.0, c]
    )


def bucket_edge_force(soil: str, machine: str, rake_deg: float, depth_m: float) -> float:
    """Return the earth-moving resistance of an edge, for a metre of width [N]."""
    spec = load_machine(machine).tool
    assert isinstance(spec, Bucket)
    tool = BucketTool(_flat(soil), BucketShape.from_spec(spec))
    floor = math.atan2(tool.shape.floor[1], tool.shape.floor[0])
    out = np.zeros(16)
    tool_forces(*tool.force_args, _pose(-depth_m, floor - math.radians(rake_deg)), out)
    return float(out[14]) / spec.width


def blade_edge_force(soil: str, machine: str, rake_deg: float, depth_m: float) -> float:
    """Return the earth-moving resistance of a blade pitched to a rake, for a metre [N]."""
    spec = load_machine(machine).tool
    assert isinstance(spec, Blade)
    tool = BladeTool.from_spec(_flat(soil), spec)
    out = np.zeros(16)
    blade_forces(*tool.force_args, _pose(-depth_m, math.radians(rake_deg) - spec.rake), out)
    return float(out[14]) / spec.width


def plough_draft(soil: str, machine: str, depth_cm: float, speed_km_h: float) -> float:
    """Return the draft of a machine's plough [N]."""
    spec = load_machine(machine).tool
    assert isinstance(spec, Plough)
    tool = PloughTool.from_spec(_flat(soil), spec)
    out = np.zeros(16)
    plough_forces(*tool.force_args, _pose(-depth_cm / 100, 0.0, speed_km_h / 3.6), out)
    return float(out[14])


def _track(soil: str, machine: str, load_kn: float, slip: float, speed: float) -> Array:
    """Return the state of one track at a steady speed [m/s], slip and load."""
    spec = load_machine(machine)
    tracks = spec.undercarriage
    assert isinstance(tracks, Tracks)
    ground = _flat(soil)
    contact = TrackContact(spec, ground)
    contact.reset()
    p = contact.parameters
    a_point = 2e3 * load_kn / len(contact.points)
    spin = np.full(2, speed / (1 - slip) / tracks.sprocket_radius)
    position, level = np.zeros(3), np.eye(3).ravel()
    wrench, reaction = np.zeros(6), np.zeros(2)
    for _ in range(SETTLED):
        # The sinkage follows the load: hold the load instead of the height.
        position[2] = -contact.sides[0, SINK] - a_point / p[STIFFNESS]
        track_forces(
            contact.points, contact.shear, contact.sides, p, position, level,
            np.array([speed, 0.0, 0.0]), np.zeros(3), position, spin, reaction,
            *contact.ground_args, wrench, 0.002,
        )  # fmt: skip
    return contact.sides[0]


def track_contact_thrust(soil: str, machine: str, load_kn: float, slip: float) -> float:
    """Return the thrust of one track of a machine under a load [N]."""
    return float(_track(soil, machine, load_kn, slip, 1.0)[THRUST])


def track_contact_resistance(soil: str, machine: str, load_kn: float) -> float:
    """Return the motion resistance of one track [N]; far above the speed where it fades out."""
    return float(_track(soil, machine, load_kn, 0.0, 4.0)[RESISTANCE])


def track_contact_sinkage(soil: str, machine: str, load_kn: float) -> float:
    """Return the depth to which one track sinks [m]."""
    return float(_track(soil, machine, load_kn, 0.0, 4.0)[SINK])


def tyre_contact_net_traction(
    soil: str, machine: str, wheel: str, load_kn: float, slip: float
) -> float:
    """Return pull over load of a tyre of a machine at a steady slip."""
    spec = load_machine(machine)
    wheels = spec.undercarriage
    assert isinstance(wheels, Wheels)
    ground = _flat(soil)
    contact = TyreContact(spec, ground)
    row = list(wheels.wheels).index(wheel)
    p = contact.parameters[row : row + 1]
    radius, stiffness = 0.5 * p[0, 0], p[0, 3]
    speed = 5.0
    x = np.zeros((1, contact.states.shape[1]))
    place, turned, wrench = np.zeros((1, 3)), np.eye(3).reshape(1, 9), np.zeros((1, 6))
    motion = np.array([[0.0, speed / (1 - slip) / radius, 0.0, speed, 0.0, 0.0]])
    for _ in range(SETTLED):
        place[0, 2] = radius - x[0, 2] - 1e3 * load_kn / stiffness
        tyre_forces(
            p, x, np.zeros(1, np.int64), place, turned, place, motion, place[0],
            *contact.ground_args, wrench, 0.002,
        )  # fmt: skip
    return float(x[0, PULL] / x[0, LOAD])
