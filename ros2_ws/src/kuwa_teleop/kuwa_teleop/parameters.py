"""Parameters of the teleop node."""

from __future__ import annotations

from dataclasses import dataclass

from kuwa_hardware.operator.core import BLIND, STALE
from kuwa_hardware.operator.layouts import layouts
from kuwa_hardware.operator.shaping import Shaping
from kuwa_ros.parameters import parameter

_curve = Shaping()


@dataclass(frozen=True)
class TeleopParameters:
    """Parameters of the teleop node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    pattern: str = parameter("", "control pattern, e.g. iso or sae; empty: the machine's own")
    dead_zone: float = parameter(
        _curve.dead_zone, "deflection of a lever that counts as none", low=0.0, high=0.5
    )
    expo: float = parameter(
        _curve.expo, "progression of the levers: 0 straight, 1 cubic", low=0.0, high=1.0
    )
    scale: float = parameter(
        1.0, "speed at full deflection, of each joint's greatest", low=0.05, high=1.0
    )
    stale: float = parameter(
        STALE, "sticks that are silent for this long are lost", unit="s", low=0.05, high=0.15
    )
    picture_timeout: float = parameter(
        BLIND,
        "a page that has drawn nothing, or whose news of the machine is older, does not drive",
        unit="s",
        low=0.1,
        high=30.0,
    )
    joystick: str = parameter(
        "game_controller", "layout of what is heard on joy", valid=(*layouts(), "none")
    )
    open_joystick: bool = parameter(
        False, "whether joy needs no code in spite of a key: whoever can send it then drives"
    )
    person: str = parameter("", "who drives, where a page gives no name; empty: who is logged in")
    key_file: str = parameter(
        "", "key of the stack, for codes on modes, references and the deadman; empty: none"
    )
    planner: bool = parameter(False, "whether a planner runs, to which the machine may be given")
    robot: str = parameter("", "kind of robot, for the page")
    can_reset: bool = parameter(False, "whether the machine is simulated and may be set back")
    page: bool = parameter(True, "whether the page is served")
    scene: bool = parameter(True, "whether it shows the machine in three dimensions")
    host: str = parameter("127.0.0.1", "where the page listens; beyond loopback with a certificate")
    port: int = parameter(8765, "port of the page; 0: any free one", low=0, high=65535)
    token: str = parameter("", "that lets people in; empty: a new one at each start")
    url_file: str = parameter(
        "", "file for the page's address and token, mode 600; empty: in the state folder"
    )
    certificate: str = parameter("", "PEM file with the chain of the page's certificate")
    certificate_key: str = parameter("", "PEM file with its key")
    names: tuple[str, ...] = parameter((), "further names of this computer, as browsers write them")
