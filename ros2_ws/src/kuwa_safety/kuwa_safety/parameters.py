"""Parameters of the safety node; time-outs take their defaults from the failure table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kuwa_hardware.failures import timeout
from kuwa_hardware.limits import GateLimits
from kuwa_ros.parameters import parameter

_D = GateLimits()


def _time(name: str, words: str, high: float, low: float = 0.02) -> Any:
    return parameter(timeout(f"safety.{name}"), words, unit="s", low=low, high=high)


@dataclass(frozen=True)
class SafetyParameters:
    """Parameters of the safety node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    latch_file: str = parameter(
        "", "file that keeps a stop over a restart; empty: a restart begins in mode off"
    )
    key_file: str = parameter(
        "", "key of the stack; empty: requests, modes and the deadman need no code"
    )
    zones: str = parameter("", "file of the site's zones that are kept out; empty: none")
    preflight: str = parameter(
        "", "the preflight's record, without which arming is refused; empty: none is asked for"
    )
    request_timeout: float = _time(
        "request_timeout", "a request is stale this long after its receipt", 1.0
    )
    state_timeout: float = _time(
        "state_timeout", "a joint state is stale this long after its receipt", 1.0
    )
    answer_age: float = _time(
        "answer_age", "a request that answers a state further from the newest is refused", 5.0
    )
    slew: float = parameter(
        _D.slew, "fastest change of a valve command", unit="1/s", low=0.1, high=100.0
    )
    neutral_slew: float = parameter(
        _D.neutral_slew,
        "fastest change of a valve command on the way to neutral after a loss",
        unit="1/s",
        low=1.0,
        high=1000.0,
    )
    margin: float = parameter(
        _D.margin, "distance kept from the position limits", unit="rad", low=0.001, high=0.5
    )
    overspeed: float = parameter(
        _D.overspeed,
        "a joint faster than this times its maximum gets no more command that way",
        unit="1",
        low=1.0,
        high=3.0,
    )
    heartbeat_timeout: float = _time(
        "heartbeat_timeout", "planning, perception or supervisor silent for this long: hold", 2.0
    )
    supervisor_timeout: float = _time(
        "supervisor_timeout", "a supervisor silent for this long: stop; 0: never", 60.0, 0.0
    )
    deadman_timeout: float = _time(
        "deadman_timeout", "a deadman silent for this long counts as released", 1.0
    )
    place_timeout: float = _time(
        "place_timeout",
        "where zones on the map are kept out: neutral when the position is unknown for this long",
        10.0,
    )
    unknown_time: float = _time(
        "unknown_time", "hold when perception does not know the scene for this long", 10.0
    )
