"""What COM3's numbers mean for one machine: map, oil and pose, without a bus."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.mapping import JointSignals, load_map
from kuwa_hardware.com3.oil import delivered
from kuwa_hardware.com3.pose import BusPose, from_bus, to_bus
from kuwa_machines.errors import MachineError
from kuwa_machines.kinematics import rotation
from kuwa_machines.loader import load_machine

SPEC = load_machine("zx200")
MOUNT = np.array([0.1, 0.0, 1.1])


def soft() -> JointSignals:
    """The signals of a machine whose valves are wide open at 4 MPa, 20 % of it a dead zone."""
    data = load_map(SPEC).data
    pilot = data.pilot.model_copy(update={"full": 4e6})
    joints = {
        name: joint.model_copy(update={
            side: getattr(joint, side).model_copy(update={"dead_zone": 0.2})
            for side in ("positive", "negative")
        })
        for name, joint in data.joints.items()
    }  # fmt: skip
    return JointSignals(SPEC, data.model_copy(update={"pilot": pilot, "joints": joints}))


@pytest.mark.parametrize("u", [1.0, -1.0, 0.9])
def test_no_valve_gets_more_than_its_full_pilot_pressure(u: float) -> None:
    signals, message = soft(), messages()["Pilot_Pressure_Cmd_1"]
    told = message.decode(message.encode_raw(signals.pilot_raw(np.full(4, u))))
    assert max(told.values()) == pytest.approx(4.0)


def test_a_pilot_pressure_beyond_the_full_one_is_a_full_command() -> None:
    """A valve command above 1 would be refused by whoever takes it up."""
    signals = soft()
    sides = [(joint.positive, joint.negative) for joint in signals.data.joints.values()]
    for place, sign in ((0, 1.0), (1, -1.0)):
        pressed = {pair[i].measured: 5.0 * (i == place) for pair in sides for i in (0, 1)}
        assert signals.valves(pressed, measured=True).tolist() == [sign] * 4


def test_a_map_of_other_joints_than_the_machines_is_refused(tmp_path: Path) -> None:
    """It would leave a joint without commands, or fail in the middle of a motion."""
    raw = yaml.safe_load((SPEC.folder / "com3.yaml").read_text("utf-8"))
    raw["joints"]["thumb_joint"] = raw["joints"].pop("bucket_joint")
    (tmp_path / "com3.yaml").write_text(yaml.safe_dump(raw))
    spec = SPEC.model_copy()
    spec._folder = tmp_path
    with pytest.raises(MachineError, match=r"com3\.yaml: joints: .*thumb_joint.*bucket_joint"):
        load_map(spec)


def test_the_pump_delivers_what_goes_in_and_nothing_for_a_port_under_suction() -> None:
    flow = np.array([[1e-3, -9e-4], [2e-3, -3e-3]])
    pressure = np.array([[10e6, 1e6], [-1e5, 8e6]])
    total, power = delivered(pressure, flow)
    assert total == pytest.approx(3e-3) and power == pytest.approx(1e4)


@pytest.mark.parametrize("unknown", ["roll", "pitch", "track", "swing"])
def test_a_pose_of_which_one_angle_is_unknown_is_unknown(unknown: str) -> None:
    """Half a pose would put the bucket somewhere else on the site."""
    angles = dict.fromkeys(("roll", "pitch", "track"), 0.1)
    swing = math.nan if unknown == "swing" else 0.2
    if unknown in angles:
        angles[unknown] = math.nan
    position, attitude = from_bus(BusPose(np.ones(3), upper=0.3, **angles), swing, MOUNT)
    assert np.isnan(position).all() and np.isnan(attitude).all()


@pytest.mark.parametrize("nose", [1.0, -1.0], ids=["down", "up"])
def test_a_machine_on_end_has_a_pose_to_the_last_rounding(nose: float) -> None:
    """There a sine comes out as 1.0000000000000002, of which there is no angle."""
    c = math.cos(0.25 * math.pi)
    for yaw in np.arange(0.0, 3.0, 0.01).tolist():
        cy, sy = math.cos(0.5 * yaw), math.sin(0.5 * yaw)
        q = np.array([c * cy, -nose * c * sy, nose * c * cy, c * sy])
        told = to_bus(np.zeros(3), q, 0.0, MOUNT)
        assert told.pitch == pytest.approx(nose * 0.5 * math.pi, abs=1e-7)
        assert np.isfinite(rotation(from_bus(told, 0.0, MOUNT)[1])).all()
