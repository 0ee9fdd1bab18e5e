"""Driver of machines of the OPERA platform: they speak ROS 2, so it speaks through a node.

Commands go out once a cycle under every name that the platform's programs read; states come back
under whichever name the machine uses. Joints are matched by name both ways.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from com3_msgs.msg import (
    CrawlerCarrierCom3MachineSetting,
    ExcavatorCom3MachineSetting,
    FluidPressureArray,
    JointCmd,
)
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Bool, Float64

from kuwa_hardware.failures import failure
from kuwa_machines.contracts import CommandKind, JointCommand, Level, MachineState
from kuwa_machines.datafile import fingerprint
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_robot.opera_codec import Decoder, Encoder
from kuwa_robot.opera_state import Body, Oil, blank, joint_velocity, loaded, placed
from kuwa_robot.opera_table import FRONT_MODE, QOS_DEPTH, OperaError, OperaSettings, profile, table
from kuwa_ros import topics
from kuwa_ros.conversions import doubles, seconds, time_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.topics import Topic

SETTING_EVERY = 5
"""Settings and a stop go out every so many cycles of 10 ms, as on the platform's own bus."""
LOOK_EVERY = 10
"""Other writers of our command topics are looked for every so many cycles."""
LAST_WORDS = 10
"""Neutral is said so often, a cycle apart, before the topics close: what has not arrived by then
never does, and not every machine is known to centre its valves when commands stay away."""
CYCLE = 0.01
"""[s]."""
SHOWN = 0.5
"""A message that was refused is a fault for this long [s]."""


class OperaRobot:
    """A :class:`kuwa_machines.contracts.Robot` on OPERA's topics.

    Args:
        node: that owns the topics; its namespace must not be the machine's own.
        spec: the machine.
        settings: see :class:`OperaSettings`.
        clock: steady time [s].

    Raises:
        OperaError: the platform has no such kind of machine.
    """

    def __init__(
        self,
        node: KuwaNode[Any],
        spec: MachineSpec,
        settings: OperaSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self._node, self._clock = node, clock
        self._profile, self._table = profile(spec), table()
        self.fingerprint = fingerprint(self._profile, settings)
        self._encoder = Encoder(spec, self._profile, settings.mode, settings.tracks)
        self._decoder = Decoder(spec, self._profile)
        self._n = len(spec.joints)
        self._opened = self._connected = self._blocked = False

    def connect(self) -> None:
        """Open all topics, once, and wait for the first joint state; nothing if that is done.

        Raises:
            OperaError: the machine is silent, is another one, or shares the stack's namespace.
        """
        if self._connected:
            return
        if not self._opened:
            self._open()
            self._opened = True
        # What waited since the driver was closed does not say that a machine is there now.
        for reader in self._states.values():
            list(reader.drain())
        for aliases in (self._poses, self._pressures, self._bodies, self._loads):
            aliases.newest()
        self._speaker = ""
        self._state = blank(self.spec)
        self._body, self._oil = Body(self.spec), Oil(self.spec, self._profile)
        self._at = self._clock()
        self._refused_at, self._refused = -math.inf, ""
        self._cycle, self._stop, self._foreign, self._blocked = 0, False, False, False
        self._wait()
        self._connected = True

    def _open(self) -> None:
        own = self._node.get_namespace().rstrip("/")
        if own == self.settings.namespace:
            raise OperaError(
                f"the stack runs in {own or '/'}, the machine's own namespace, where both would "
                f"write joint_states; start the stack in another one (namespace:=kuwa{own})"
            )
        t, p = self._table, self._profile
        self._states = {name: self._reader(name, JointState) for name in t.state.joints}
        self._poses = _Aliases({name: self._reader(name, Odometry) for name in t.state.pose})
        self._pressures = _Aliases(
            {name: self._reader(name, FluidPressureArray) for name in t.state.pressures}
        )
        self._bodies = _Aliases({name: self._reader(name, Imu) for name in t.state.body})
        self._loads = _Aliases({name: self._reader(name, Float64) for name in t.state.load})
        self._stops_in = self._node.reader(topics.EMERGENCY_STOP)
        names = [name for command in p.commands for name in command.topics]
        if self.settings.mode == "setpoints":
            self._setpoints = {
                joint: self._writer(name, Float64) for joint, name in p.setpoints.items()
            }
            names = list(p.setpoints.values())
        else:
            self._setpoints = {}
            self._out = {name: self._writer(name, JointCmd) for name in names}
        self._commanded = [self._absolute(name) for name in names]
        kind = {
            "ExcavatorCom3MachineSetting": ExcavatorCom3MachineSetting,
            "CrawlerCarrierCom3MachineSetting": CrawlerCarrierCom3MachineSetting,
        }.get(p.setting)
        self._settings_out = [self._writer(n, kind) for n in t.settings] if kind else []
        self._stops = [self._writer(name, Bool) for name in t.stop]
        self._republished: Callable[[Any], None] | None = None

    def read(self) -> MachineState:
        """Return the newest state, with what is wrong in its faults.

        Raises:
            CommandError: it is not connected.
        """
        if not self._opened:
            raise CommandError("the OPERA driver is not connected; call connect() first")
        now = self._clock()
        for message in self._stops_in.drain():
            self._emergency(bool(message.data))
        self._hear(now)
        faults = []
        if now - self._at > self.settings.silence:
            faults.append("machine_silent" if self._speaking() else "driver_disconnected")
        if now - self._refused_at < SHOWN:
            faults.append("frame_corrupt")
        if self._foreign:
            faults.append("foreign_commander")
        self._blocked = any(failure(code).reaction.level >= Level.NEUTRAL for code in faults)
        return replace(self._state, faults=tuple(faults))

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command, neutral while a fault forbids more; return what was sent.

        Raises:
            CommandError: of another kind, not finite or out of range; nothing is sent.
        """
        if not self._connected:
            raise CommandError("the OPERA driver is not connected; call connect() first")
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"command kind {command.kind.name}; the valves take VALVE")
        names = tuple(self.spec.joint_names)
        u = command.ordered(names)
        if not (np.abs(u) <= 1.0).all():
            raise CommandError(f"valve commands {u.tolist()} must be finite and within [-1, 1]")
        if self._blocked:
            command = replace(command, values=np.zeros(self._n), names=names, mac=b"")
            u = command.values
        self._send(np.array(u, dtype=float))
        return command

    def neutral(self) -> None:
        """Ask for no motion of anything."""
        if self._connected:
            self._send(np.zeros(self._n))

    def close(self) -> None:
        """Ask for no motion :data:`LAST_WORDS` times; the node takes its topics back."""
        if self._connected:
            for _ in range(LAST_WORDS):
                self.neutral()
                time.sleep(CYCLE)
        self._connected = False

    @property
    def speaker(self) -> str:
        """The name under which joint states come."""
        return self._speaker

    # What comes in ---------------------------------------------------------------------------

    def _wait(self) -> None:
        until = self._clock() + self.settings.patience
        while not self._speaker:
            self._hear(self._clock())
            if self._clock() > until:
                where = " or ".join(self._absolute(name) for name in self._states)
                why = self._refused or "nothing was heard"
                raise OperaError(
                    f"no joint state of {self.spec.name} on {where} within "
                    f"{self.settings.patience:g} s: {why}; start the machine's own programs, or "
                    "give its namespace (bus: namespace=/…)"
                )
            time.sleep(0.005)
        other = self._absolute("joint_states")
        if (
            self.settings.republish
            and self._profile.republish
            and self._speaker == "joint_state"
            and self._node.count_publishers(other) == 0
        ):
            self._states.pop("joint_states", None)
            self._republished = self._writer("joint_states", JointState)

    def _hear(self, now: float) -> None:
        for name, reader in self._states.items():
            for message in reader.drain():
                if self._speaker in ("", name):
                    self._take(name, message, now)
        if (message := self._bodies.newest()) is not None:
            self._body.take(message)
        state = self._state
        if (message := self._poses.newest()) is not None:
            state = placed(state, message)
        if (message := self._pressures.newest()) is not None:
            self._oil.take(message)
        if (message := self._loads.newest()) is not None:
            state = loaded(state, message, self._table.soil_density)
        if math.isfinite(state.stamp):
            state = self._oil.told(self._body.stand(state))
        self._state = state

    def _take(self, name: str, message: JointState, now: float) -> None:
        try:
            q = self._decoder.take(message.name, message.position)
            stamp = seconds(message.header.stamp) or time.time()
            if stamp <= self._state.stamp:
                return
            qd = joint_velocity(self._decoder, message, q, stamp, self._state)
        except KuwaError as error:
            self._refused_at, self._refused = now, str(error)
            self._node.complain(name, error)
            return
        self._speaker, self._at = name, now
        effort = np.full(self._n, np.nan)
        if len(message.effort) == len(message.name):
            effort = np.array(message.effort)[self._decoder.index(message.name)]
        self._state = replace(self._state, stamp=stamp, q=q, qd=qd, effort=effort)
        if self._republished is not None:
            self._republished(self._five(message, stamp))

    def _five(self, message: JointState, stamp: float) -> JointState:
        """Return joint states as OPERA's controllers index them; what nobody measures is zero."""
        names, place = self._profile.republish, {n: i for i, n in enumerate(self.spec.joint_names)}
        out = JointState(name=list(names))
        out.header.stamp = time_msg(stamp)
        for key, values in (("position", self._state.q), ("velocity", self._state.qd)):
            ordered = [float(values[place[n]]) if n in place else 0.0 for n in names]
            setattr(out, key, doubles(np.array(ordered)))
        out.effort = doubles(np.zeros(len(names)))
        return out

    # What goes out ---------------------------------------------------------------------------

    def _send(self, u: np.ndarray) -> None:
        if not self._node.context.ok():
            return  # nothing can be sent any more; kuwa_ros.main closes the driver before that
        q = self._state.q
        if self._setpoints:
            target = self._encoder.positions(u, q)
            for joint, write in self._setpoints.items():
                if joint in self.spec.joint_names:
                    place = self.spec.joint_names.index(joint)
                    write(Float64(data=float(target[place])))
        else:
            for command in self._profile.commands:
                sent = self._encoder.encode(command, u, q)
                message = JointCmd(joint_name=list(sent.names), control_type=sent.control_type)
                zeros = [0.0] * len(sent.names)
                message.position = sent.values if sent.control_type == 0 else zeros
                message.velocity = sent.values if sent.control_type == 1 else zeros
                message.effort = sent.values if sent.control_type == 2 else zeros
                for name in command.topics:
                    self._out[name](message)
        if self._cycle % SETTING_EVERY == 0:
            for write in self._settings_out:
                write(self._setting())
            if self._stop:
                self._tell_stop(True)
        if self._cycle % LOOK_EVERY == 0:
            self._foreign = any(self._node.count_publishers(n) > 1 for n in self._commanded)
        self._cycle += 1

    def _setting(self) -> Any:
        s = self.settings
        if self._profile.setting == "ExcavatorCom3MachineSetting":
            return ExcavatorCom3MachineSetting(
                engine_rpm=s.rpm, power_eco_mode=s.eco, travel_speed_mode=s.fast,
                front_control_mode=FRONT_MODE[s.mode], tracks_control_mode=s.tracks_mode,
            )  # fmt: skip
        return CrawlerCarrierCom3MachineSetting(
            operation_mode=1, velocity_mode=2 if s.mode == "effort" else 1,
            swing_mode=s.mode == "effort", dump_mode=s.mode == "effort", eco_mode=s.eco,
            speed_mode=s.fast, engine_on=True, engine_rpm=round(s.rpm),
        )  # fmt: skip

    def _emergency(self, active: bool) -> None:
        """Send a stop on; its end too, but only one that somebody withdrew."""
        if self.settings.forward_stop and active is not self._stop:
            self._stop = active
            self._tell_stop(active)

    def _tell_stop(self, active: bool) -> None:
        for write in self._stops:
            write(Bool(data=active))

    # Topics ----------------------------------------------------------------------------------

    def _speaking(self) -> bool:
        return self._node.count_publishers(self._absolute(self._speaker)) > 0

    def _absolute(self, name: str) -> str:
        return f"{self.settings.namespace}/{name}"

    def _topic(self, name: str, kind: Any) -> Topic:
        return Topic(self._absolute(name), kind, "OPERA", "", "", depth=QOS_DEPTH)

    def _reader(self, name: str, kind: Any) -> Any:
        return self._node.reader(self._topic(name, kind), QOS_DEPTH)

    def _writer(self, name: str, kind: Any) -> Callable[[Any], None]:
        return self._node.writer(self._topic(name, kind))


class _Aliases:
    """One topic under several names; the first name that is heard is the only one believed."""

    def __init__(self, readers: dict[str, Any]) -> None:
        self._readers = readers
        self._believed = ""

    def newest(self) -> Any | None:
        """Return the newest message since the last call, or None."""
        for name, reader in self._readers.items():
            messages = list(reader.drain())
            if messages and self._believed in ("", name):
                self._believed = name
                return messages[-1]
        return None
