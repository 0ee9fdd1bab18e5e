"""Interfaces are contracts with others: their fields and type hashes change only on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import get_package_share_directory
from com3_msgs.action import SetDumpAngle, SetSwingAngle
from com3_msgs.msg import (
    CrawlerCarrierCom3MachineSetting,
    ExcavatorCom3MachineSetting,
    FluidPressureArray,
    JointCmd,
)
from com3_msgs.srv import DumpUp
from kuwa_msgs.msg import JointCommand

pytestmark = pytest.mark.ros

D, DS = "double", "sequence<double>"
ANGLE = ({"target_angle": D}, {"success": "boolean"}, {"current_error": D})

FIELDS: list[tuple[Any, dict[str, str]]] = [
    (
        JointCmd,
        {
            "joint_name": "sequence<string>",
            "control_type": "uint8",
            "position": DS,
            "velocity": DS,
            "effort": DS,
        },
    ),
    (FluidPressureArray, {"array": "sequence<sensor_msgs/FluidPressure>"}),
    (
        ExcavatorCom3MachineSetting,
        {
            "engine_rpm": D,
            "power_eco_mode": "boolean",
            "travel_speed_mode": "boolean",
            "working_mode_notice": "boolean",
            "yellow_led_mode": "uint8",
            "front_control_mode": "uint8",
            "tracks_control_mode": "uint8",
        },
    ),
    (
        CrawlerCarrierCom3MachineSetting,
        {
            "operation_mode": "uint8",
            "velocity_mode": "uint8",
            "swing_mode": "boolean",
            "dump_mode": "boolean",
            "eco_mode": "boolean",
            "speed_mode": "boolean",
            "engine_on": "boolean",
            "state_number": "uint8",
            "engine_rpm": "uint16",
        },
    ),
    (DumpUp.Request, {"vessel_angle": D}),
    (DumpUp.Response, {"result": "boolean"}),
    *zip((SetSwingAngle.Goal, SetSwingAngle.Result, SetSwingAngle.Feedback), ANGLE, strict=True),
    *zip((SetDumpAngle.Goal, SetDumpAngle.Result, SetDumpAngle.Feedback), ANGLE, strict=True),
]

_HASHES = """
com3_msgs/action/SetDumpAngle
    77884b2be39abd46ee40e447584924596896041b6033ac95f3717b216de8a6cb
com3_msgs/action/SetSwingAngle
    cc23502c721683d4350dfd34bf3aba11df061711c0e568adf7e818788356d430
com3_msgs/msg/CrawlerCarrierCom3MachineSetting
    09bf782569113e999833ea130619e80f2f3c8d508bc5c933664e32d2d1b78b74
com3_msgs/msg/ExcavatorCom3MachineSetting
    9e7a0752f10508ed050d315ad282202d92e87a1e35af3b7cd3f4c7d36c98e707
com3_msgs/msg/FluidPressureArray
    657ede3c283ce9f9815f4b5262b8dbd923a81c2832735fb96ff1a0b65c7d75fd
com3_msgs/msg/JointCmd
    87f40a2ff8c2852c782aa6cd5cb3f60321f22b2f22425245927f436086645ba5
com3_msgs/srv/DumpUp
    07026ae9616eae3a4b82eab33c3c012f393917a48977db96a8164a1c7a6e8297
kuwa_msgs/msg/Alarm
    71c00b31069b37a62f3b3d97b3c4687c78cf7eac864b047f750bdc13cbd76b13
kuwa_msgs/msg/Alarms
    b366cce7458ffbdf87b767bdd5a1849f271210fac07c9e1c8df99b6257794679
kuwa_msgs/msg/GroundTruth
    1dfdb6952220ea7365a6a21f5656fb112bff81f33f191e6c31ab6a0b8e59b6ca
kuwa_msgs/msg/Heartbeat
    479caffb46c586b5d40598c79ca6b771d68b892019c575e54e2612992bfae39e
kuwa_msgs/msg/HydraulicState
    02c3fed06771ea1e81cb5e800a2b24696ece87efb204117b19f4235f5731f1b7
kuwa_msgs/msg/JointCommand
    965b0abe31e750cc8395dc585263fed3fe5164e4d77687b1a2a2165f649e392c
kuwa_msgs/msg/Latent
    452a3c914f56d3964b997355ab156a709789ad8da96f3181403d24e9cea0ca83
kuwa_msgs/msg/PlanStatus
    7eb1e85f627d9d79291329ef771fead3e7157dc41f9162f350e025c6698dc272
kuwa_msgs/msg/Recording
    989eb1949c9aac62e89123d238ab47bfdbf1e86cbb1532fae10e50c664b60763
kuwa_msgs/msg/RobotStatus
    b18d9f0a301128be9d9a70a68d503adaa1c0175e49be3f100b3f3419ede7b7ed
kuwa_msgs/msg/SafetyState
    c2fcec140628d10c19d9042c017c221426e4904a68b85d549d6698703655f26e
kuwa_msgs/msg/Sealed
    5e7fccce5b066fe3c8841e63189c685130c426a534419c265f6b53a6bb5a10b0
kuwa_msgs/msg/SpikeStats
    9c55c0f419d9dd06d2a31e3047f9a7202c79f7e2a6d143467588240b6e6c6bec
kuwa_msgs/msg/Task
    095be7ba0ca3c5483b0f47b307e32518c96cf5aa20d8b581654c065645a842ed
kuwa_msgs/srv/EpisodeCommand
    9df0b06a9688ca77a4b30df13f44fa4fc59e22568d82dc7c8278ef818068a223
kuwa_msgs/srv/SetMode
    604d1a453b35de3087cb4285e6c518c1dc702ed34c7564a1fcf688ac994e6039
"""
_WORDS = _HASHES.split()
HASHES = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))


@pytest.mark.parametrize(("kind", "expected"), FIELDS, ids=lambda v: getattr(v, "__name__", ""))
def test_com3_msgs_speak_as_opera_does(kind: Any, expected: dict[str, str]) -> None:
    assert list(kind.get_fields_and_field_types().items()) == list(expected.items())


@pytest.mark.parametrize("name", HASHES)
def test_type_hashes_are_stable(name: str) -> None:
    package, rest = name.split("/", 1)
    file = Path(get_package_share_directory(package), rest).with_suffix(".json")
    hashes = {h["type_name"]: h["hash_string"] for h in json.loads(file.read_text())["type_hashes"]}
    assert hashes[name] == f"RIHS01_{HASHES[name]}"


def test_every_interface_has_a_hash_here() -> None:
    found = set()
    for package in ("com3_msgs", "kuwa_msgs"):
        share = Path(get_package_share_directory(package))
        for kind in ("msg", "srv", "action"):
            found |= {f"{package}/{kind}/{file.stem}" for file in share.glob(f"{kind}/*.json")}
    assert found == set(HASHES)


def test_the_kinds_of_a_command_are_those_of_the_contract() -> None:
    from kuwa_machines.contracts import CommandKind

    assert {k.name: int(k) for k in CommandKind} == {
        "VALVE": JointCommand.VALVE,
        "VELOCITY_FRACTION": JointCommand.VELOCITY_FRACTION,
    }


def test_every_field_says_its_unit_or_meaning(root: Path) -> None:
    for file in sorted((root / "ros2_ws/src/kuwa_msgs").glob("*/*.[ms][sr][gv]")):
        for line in file.read_text().splitlines():
            if line and not line.startswith(("#", "---")) and "=" not in line.split("#")[0]:
                assert "#" in line, f"{file.name}: {line}"
