"""What a person wants to know of a running stack, and may ask of it: mode, alarms, stop."""

from __future__ import annotations

import time

from kuwa_msgs.srv import SetMode
from std_msgs.msg import Bool

from kuwa_cli.beside import Beside
from kuwa_hardware.envelope import Envelope
from kuwa_machines.errors import KuwaError
from kuwa_ros import topics
from kuwa_ros.loop import Reader
from kuwa_ros.sealing import mode_request


class Asking(Beside):
    """A node that hears the gate and the alarms, and asks for modes.

    Args:
        namespace: of the stack, without slashes.
        domain: ROS domain id.
    """

    def __init__(self, namespace: str, domain: int) -> None:
        super().__init__("kuwa_person", namespace, domain)
        self._safety = Reader(self.node, topics.SAFETY)
        self._alarms = Reader(self.node, topics.ALARMS)
        self._set_mode = self.node.create_client(SetMode, topics.SET_MODE[0])
        stop = topics.EMERGENCY_STOP
        self._stop = self.node.create_publisher(Bool, stop.name, stop.qos())
        self.mode = ""
        """Of the gate; empty until it was heard."""
        self.reasons: tuple[str, ...] = ()
        self.alarms: tuple[tuple[str, str, str], ...] = ()
        """Code, reason and remedy of each."""

    def look(self) -> None:
        """Take what has arrived."""
        safety = self._safety.take()
        if safety is not None:
            self.mode, self.reasons = safety.mode, tuple(safety.reasons)
        alarms = self._alarms.take()
        if alarms is not None:
            self.alarms = tuple((a.code, a.reason, a.remedy) for a in alarms.alarms)

    @property
    def words(self) -> str:
        """The mode and every alarm with its remedy, in lines."""
        lines = [f"mode {self.mode or 'not heard yet'}"]
        lines += [f"  {code}: {reason}. {remedy}" for code, reason, remedy in self.alarms]
        return "\n".join(lines)

    def wait(self, patience: float) -> None:
        """Wait until the gate was heard.

        Raises:
            KuwaError: it was not.
        """
        until = time.monotonic() + patience
        while not self.mode:
            self.look()
            if time.monotonic() > until:
                raise KuwaError(
                    f"no gate heard in {self.node.get_namespace()} within {patience:g} s; is the "
                    "stack running, in this ROS_DOMAIN_ID?"
                )
            time.sleep(0.02)

    def ask(
        self, mode: str, who: str, envelope: Envelope | None, patience: float = 5.0
    ) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why).

        Raises:
            KuwaError: there was no answer.
        """
        request = mode_request(mode, who, envelope)
        answer = self.call(self._set_mode, request, f"mode {mode!r}", patience)
        return bool(answer.granted), str(answer.why)

    def stop(self, active: bool) -> None:
        """Demand the emergency stop, or withdraw the demand."""
        self._stop.publish(Bool(data=active))
