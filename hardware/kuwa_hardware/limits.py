"""What the gate enforces beyond the machine's own limits; time-outs come from the failure table."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from kuwa_hardware.failures import timeout
from kuwa_machines.errors import CommandError


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Time-outs, slopes and margins of the gate.

    Args:
        request_timeout: a request older than this since its receipt is stale [s].
        state_timeout: a state older than this since its receipt is stale [s].
        answer_age: a request that answers a state further from the newest is refused [s, on the
            clock of the states].
        slew: fastest change of a valve command [1/s].
        neutral_slew: the same on the way to neutral after a loss [1/s].
        margin: distance kept from the position limits [rad].
        overspeed: a joint faster than this times its maximum gets no more command that way.
        heartbeat_timeout: a node silent for longer is taken for dead [s].
        supervisor_timeout: the same of the supervisor, before the machine stops; 0: never [s].
        deadman_timeout: a deadman silent for longer is taken for released [s].
        place_timeout: where zones on the map are kept out, a place that is older is unknown [s].
        unknown_time: perception does not know the scene for this long before a hold [s].
    """

    request_timeout: float = timeout("safety.request_timeout")
    state_timeout: float = timeout("safety.state_timeout")
    answer_age: float = timeout("safety.answer_age")
    slew: float = 10.0
    neutral_slew: float = 20.0
    margin: float = 0.02
    overspeed: float = 1.25
    heartbeat_timeout: float = timeout("safety.heartbeat_timeout")
    supervisor_timeout: float = timeout("safety.supervisor_timeout")
    deadman_timeout: float = timeout("safety.deadman_timeout")
    place_timeout: float = timeout("safety.place_timeout")
    unknown_time: float = timeout("safety.unknown_time")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            least = 0.0 if item.name == "supervisor_timeout" else np.nextafter(0.0, 1.0)
            if not (np.isfinite(value) and value >= least):
                raise CommandError(f"gate limit {item.name} is {value!r}; it must be above 0")
