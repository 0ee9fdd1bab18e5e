"""OPERA's names as data: topics, joints and their orders by kind of machine, and the settings.

    bus: "namespace=/zx200 mode=velocity rpm=1800"

is how a person says where the machine is and how it takes commands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from kuwa_hardware.failures import failure
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec

FILE = Path(__file__).with_name("opera.yaml")
QOS_DEPTH = 100
"""Of all topics of the platform: reliable, volatile, the last hundred."""
POSITION, VELOCITY, EFFORT = 0, 1, 2
"""``control_type`` of a JointCmd."""
Mode = Literal["effort", "velocity", "position", "setpoints"]
CONTROL_TYPE: dict[str, int] = {"position": POSITION, "velocity": VELOCITY, "effort": EFFORT}
FRONT_MODE = {"position": 0, "setpoints": 0, "effort": 1, "velocity": 2}
"""``front_control_mode`` of the machine setting: 0 off, 1 effort, 2 velocity."""


class OperaError(KuwaError):
    """A machine that is not OPERA's, or that is not as the stack was told."""


class Command(Data):
    """One topic of JointCmd under all its names.

    Args:
        topics: the first one is the documented one; all are sent.
        order: joints by their names there, as arrays of efforts and positions hold them.
        velocity_order: as arrays of velocities hold them; empty: the same.
        full_effort: full lever in the machine's unit.
    """

    topics: tuple[str, ...]
    order: tuple[str, ...]
    velocity_order: tuple[str, ...] = ()
    full_effort: float = Field(gt=0.0)

    def ordered(self, mode: str) -> tuple[str, ...]:
        """Return the joints in the order of a mode's array."""
        return self.velocity_order if mode == "velocity" and self.velocity_order else self.order


class Profile(Data):
    """One kind of machine; see the file."""

    setting: Literal["ExcavatorCom3MachineSetting", "CrawlerCarrierCom3MachineSetting", ""]
    commands: tuple[Command, ...]
    joints: dict[str, tuple[str, ...]]
    republish: tuple[str, ...]
    setpoints: dict[str, str]
    pressures: dict[str, tuple[int, int]]
    pressure_count: int

    @model_validator(mode="after")
    def _once(self) -> Profile:
        names = [alias for aliases in self.joints.values() for alias in aliases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"joints: {twice} stand for two joints")
        for joint, pair in self.pressures.items():
            if max(pair) >= self.pressure_count:
                raise ValueError(f"pressures: {joint}: {pair} is beyond {self.pressure_count}")
        return self

    def ours(self, name: str) -> str:
        """Return our name of one of their joints, or ``""``."""
        return next((own for own, theirs in self.joints.items() if name in theirs), "")


class State(Data):
    """Topics that a machine speaks, each under all its names."""

    joints: tuple[str, ...]
    pose: tuple[str, ...]
    pressures: tuple[str, ...]
    body: tuple[str, ...]
    load: tuple[str, ...]


class Table(Data):
    """The whole file."""

    state: State
    stop: tuple[str, ...]
    settings: tuple[str, ...]
    drive: tuple[str, ...]
    loose_soil: dict[str, float | str]
    machines: dict[str, Profile]

    @property
    def soil_density(self) -> float:
        """Of loose soil [kg/m³]."""
        return float(self.loose_soil["value"])


@cache
def table() -> Table:
    """Return the table."""
    return load_data(FILE, Table, OperaError)


def profile(spec: MachineSpec) -> Profile:
    """Return the names of a machine's kind.

    Raises:
        OperaError: OPERA has no such kind.
    """
    kinds = table().machines
    if spec.kind not in kinds:
        raise OperaError(
            f"{spec.name} is a {spec.kind}: OPERA has none; {choices(spec.kind, kinds)}"
        )
    return kinds[spec.kind]


class OperaSettings(Data):
    """How a machine is spoken to.

    Args:
        namespace: of the machine's topics; empty: its name.
        mode: what commands are sent: ``setpoints`` are the simulator's angles, one topic a joint.
        rpm: of the engine [1/min]. eco, fast: power mode and speed range of travel.
        tracks_mode: ``tracks_control_mode`` as it is sent. tracks: unit of velocities of tracks:
            sprockets in rad/s (OperaSim-AGX), or tracks in m/s (OperaSim-PhysX).
        republish: send joint states in the order that OPERA's controllers expect, where the
            machine itself does not.
        forward_stop: send the emergency stop on. A real bulldozer's engine stops by it.
        patience: for the first joint state [s]. silence: until the machine counts as silent [s].
    """

    namespace: str = ""
    mode: Mode = "effort"
    rpm: Annotated[float, Field(ge=900.0, le=2500.0)] = 1800.0
    eco: bool = False
    fast: bool = False
    tracks_mode: Annotated[int, Field(ge=0, le=3)] = 0
    tracks: Literal["rad/s", "m/s"] = "rad/s"
    republish: bool = True
    forward_stop: bool = True
    patience: Annotated[float, Field(gt=0.0, le=60.0)] = 5.0
    silence: Annotated[float, Field(ge=0.02, le=2.0)] = failure("machine_silent").timeout


def parse(text: str, machine: str) -> OperaSettings:
    """Return the settings of ``"key=value key=value"``; the namespace defaults to the machine.

    Raises:
        OperaError: naming the key and what would be right.
    """
    raw: dict[str, str] = {}
    for word in text.split():
        key, sign, value = word.partition("=")
        if not sign or key not in OperaSettings.model_fields:
            raise OperaError(
                f"bus: {word!r} is no setting of OPERA; each is key=value, "
                f"{choices(key, OperaSettings.model_fields)}"
            )
        raw[key] = value
    if raw.get("mode", "effort") not in get_args(Mode):
        raise OperaError(f"bus: no mode {raw['mode']!r}; {choices(raw['mode'], get_args(Mode))}")
    try:
        made = OperaSettings.model_validate(raw)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        raise OperaError(f"bus: {'.'.join(map(str, item['loc']))}: {item['msg']}") from None
    namespace = "/" + (made.namespace or machine).strip("/")
    return made.model_copy(update={"namespace": namespace})


def markdown() -> str:
    """Return the reference page."""
    t = table()
    lines = [
        "# OPERA: names and units",
        "",
        "Generated from `kuwa_robot/opera.yaml` by `./kuwa docs`.",
        "",
        "All topics are reliable, volatile, depth 100, below the machine's namespace. How to run a",
        "machine of the platform: [how-to](../how-to/run-on-opera.md).",
        "",
        "## What the machine says",
        "",
        "| what | topics, any of them |",
        "|---|---|",
        *(f"| {key} | {_code(value)} |" for key, value in t.state),
        "",
        f"Emergency stop: {_code(t.stop)} (std_msgs/Bool). Machine settings: {_code(t.settings)}.",
        f"Driving by Twist, read by the emulated machine only: {_code(t.drive)}.",
        "",
    ]
    for kind, p in t.machines.items():
        lines += [
            f"## {kind.capitalize()}",
            "",
            "| command topics | order of efforts and positions | of velocities | full effort |",
            "|---|---|---|---|",
        ]
        for c in p.commands:
            orders = f"{_code(c.order)} | {_code(c.ordered('velocity'))}"
            lines.append(f"| {_code(c.topics)} | {orders} | {c.full_effort:g} |")
        lines += ["", "| our joint | names there | setpoint | pressures by index |",
                  "|---|---|---|---|"]  # fmt: skip
        for own, theirs in p.joints.items():
            setpoint = _code((p.setpoints[own],)) if own in p.setpoints else ""
            pair = ", ".join(map(str, p.pressures.get(own, ())))
            lines.append(f"| `{own}` | {_code(theirs)} | {setpoint} | {pair} |")
        if p.republish:
            lines += ["", f"Sent on as `joint_states` in this order: {_code(p.republish)}."]
        lines += ["", f"Machine setting: {p.setting or 'none'}.", ""]
    settings = OperaSettings.model_json_schema()["properties"]
    lines += ["## Settings", "", "In the parameter `bus` of the robot node, as `key=value`.", "",
              "| key | default |", "|---|---|",
              *(f"| `{key}` | `{value['default'] if value['default'] != '' else 'the machine'}` |"
                for key, value in settings.items()), ""]  # fmt: skip
    return "\n".join(lines)


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
