"""A steered machine on wheels as guidance sees it: a bicycle about the middle of its rear axle.

With the steering angle δ of the axle's middle and the wheelbase L the middle of the fixed axle
runs on the curvature κ = tan δ / L. The joint turns one wheel; the other follows by Ackermann's
geometry, and the middle lies between: cot δ = cot q + (gauge/2)/L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.followers import Ackermann
from kuwa_machines.spec import HydrostaticDrive, MachineSpec, Wheels

STEERING_SHARE = 0.95
"""Of the steering's range, what a plan may use; the rest is for corrections."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What guidance needs of a machine's data.

    Args:
        steering: index of the steering joint. wheels: of the driven wheels' joints.
        radius: of the tyres of these wheels, shape (len(wheels),) [m].
        steered: whether each of these wheels is on the steered axle, shape (len(wheels),).
        wheelbase, gauge: [m].
        left, right: greatest curvature to either side, both positive [1/m].
        steering_rate: of the joint [rad/s]. dead_time: of the steering with its valve's lag [s].
        lag: from a demanded speed to the wheels' [s]. top_speed: [m/s].
        acceleration: [m/s²].
    """

    steering: int
    wheels: Array
    radius: Array
    steered: Array
    wheelbase: float
    gauge: float
    left: float
    right: float
    steering_rate: float
    dead_time: float
    lag: float
    top_speed: float
    acceleration: float

    @classmethod
    def from_spec(cls, spec: MachineSpec) -> Vehicle:
        """Return the vehicle in a machine's data.

        Raises:
            MachineError: the machine has no wheels, no driven ones, or none that steer.
        """
        under = spec.undercarriage
        if not isinstance(under, Wheels):
            raise MachineError(f"{spec.name}: stands on {under.type}; guidance needs wheels")
        pairs = [
            (name, passive.follows)
            for name, passive in spec.passive_joints.items()
            if isinstance(passive.follows, Ackermann)
        ]
        if len(pairs) != 1:
            raise MachineError(
                f"{spec.name}: {len(pairs)} joints follow by Ackermann's geometry; expected one"
            )
        led, follows = pairs[0]
        leader = spec.joints[follows.joint]
        by_link = {w.link: under.tyres[w.tyre] for w in under.wheels.values()}
        knuckles = {leader.child, spec.passive_joints[led].child}
        wheels, radius, steered, speed, acceleration = [], [], [], [], []
        for k, joint in enumerate(spec.joints.values()):
            if isinstance(joint.drive, HydrostaticDrive) and joint.child in by_link:
                wheels.append(k)
                radius.append(by_link[joint.child].diameter / 2)
                steered.append(joint.parent in knuckles)
                speed.append(joint.velocity * radius[-1])
                acceleration.append(joint.acceleration * radius[-1])
        if not wheels:
            raise MachineError(f"{spec.name}: no driven wheels")
        L, half = follows.wheelbase, follows.gauge / 2
        # The led wheel has stops of its own, which it meets first to one side.
        led_range = spec.passive_joints[led].position
        left = min(_curvature(leader.position.max, L, half), _curvature(led_range.max, L, -half))
        right = -max(_curvature(leader.position.min, L, half), _curvature(led_range.min, L, -half))
        valve = leader.drive.valve
        travel = spec.joints[spec.joint_names[wheels[0]]].drive.valve
        return cls(
            steering=spec.joint_names.index(follows.joint),
            wheels=np.array(wheels),
            radius=np.array(radius),
            steered=np.array(steered),
            wheelbase=L,
            gauge=follows.gauge,
            left=left,
            right=right,
            steering_rate=leader.velocity,
            dead_time=valve.dead_time + valve.time_constant,
            lag=travel.dead_time + travel.time_constant,
            top_speed=min(speed),
            acceleration=min(acceleration),
        )

    @property
    def min_radius(self) -> float:
        """Of a plan, of the middle of the fixed axle, to either side [m]."""
        return 1.0 / (STEERING_SHARE * min(self.left, self.right))

    def curvature(self, q: ArrayLike) -> Array:
        """Return the curvature for steering joint angles, without slip [1/m]."""
        t = np.tan(np.asarray(q, dtype=float))
        return np.asarray(t / (self.wheelbase + 0.5 * self.gauge * t))

    def angle(self, curvature: ArrayLike) -> Array:
        """Return the steering joint's angle for a curvature, without slip [rad]."""
        k = np.asarray(curvature, dtype=float)
        return np.asarray(np.arctan2(k * self.wheelbase, 1.0 - 0.5 * self.gauge * k))

    def wheel_speeds(self, speed: ArrayLike, curvature: ArrayLike) -> Array:
        """Return the speeds of the driven wheels, shape (..., wheels) [rad/s].

        Motors on one circuit are behind differentials: only the mean of what they are asked for
        counts. The steered axle is the faster one in a curve.
        """
        v, k = np.broadcast_arrays(
            np.asarray(speed, dtype=float), np.asarray(curvature, dtype=float)
        )
        front = v * np.sqrt(1.0 + (k * self.wheelbase) ** 2)
        return np.where(self.steered, front[..., None], v[..., None]) / self.radius


def _curvature(q: float, wheelbase: float, half_gauge: float) -> float:
    """Curvature of the middle for one wheel's angle; the wheel is ``half_gauge`` left of it."""
    t = math.tan(q)
    return t / (wheelbase + half_gauge * t)
