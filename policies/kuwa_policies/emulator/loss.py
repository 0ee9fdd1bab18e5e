"""What was lost when a float network became one of integers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GroupLoss:
    """Of a group of neurons; what is one number for many neurons is the worst of them.

    Args:
        scale: integer units in a float unit.
        tau_u, tau_v: time constants [steps], wanted and got.
        threshold_error: relative. bias_error: of a step, as a share of the threshold.
        u_used, v_used: share of the register that the worst input can reach.
        v_below: share that inhibition can reach.
        saturates: whether the voltage may be held at its least value.
    """

    name: str
    scale: float
    tau_u: tuple[float, float]
    tau_v: tuple[float, float]
    threshold_error: float
    bias_error: float
    u_used: float
    v_used: float
    v_below: float
    saturates: bool


@dataclass(frozen=True, slots=True)
class ConnectionLoss:
    """Of a connection.

    Args:
        rms_error: of the weights, relative to their root mean square.
        largest_error: in float units.
        vanished: weights that were not 0 and are now.
    """

    name: str
    exponent: int
    sign_mode: str
    rms_error: float
    largest_error: float
    vanished: int


@dataclass(frozen=True, slots=True)
class Report:
    """Of a network.

    Args:
        spikes: of each group in float and in integers, on the input that was given.
    """

    profile: str
    groups: tuple[GroupLoss, ...]
    connections: tuple[ConnectionLoss, ...]
    spikes: dict[str, tuple[int, int]] | None

    def text(self) -> str:
        """Return the report as Markdown."""
        lines = [f"In the arithmetic of profile `{self.profile}`.", ""]
        lines += [
            "| neurons | scale | τ_u wanted, got | τ_v wanted, got | threshold | bias | current "
            "used | voltage used |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for g in self.groups:
            held = ", held below" if g.saturates else ""
            lines.append(
                f"| {g.name} | {g.scale:.6g} | {g.tau_u[0]:.4g}, {g.tau_u[1]:.4g} | "
                f"{g.tau_v[0]:.4g}, {g.tau_v[1]:.4g} | {100 * g.threshold_error:.2g} % | "
                f"{100 * g.bias_error:.2g} % | {100 * g.u_used:.0f} % | "
                f"{100 * g.v_used:.0f} %{held} |"
            )
        lines += ["", "| connection | exponent | signs | error of weights, rms | vanished |"]
        lines += ["|---|---|---|---|---|"]
        for c in self.connections:
            lines.append(
                f"| {c.name} | {c.exponent} | {c.sign_mode} | {100 * c.rms_error:.2g} % | "
                f"{c.vanished} |"
            )
        if self.spikes is not None:
            lines += ["", "| spikes of | float | integers |", "|---|---|---|"]
            lines += [f"| {n} | {a} | {b} |" for n, (a, b) in self.spikes.items()]
        return "\n".join([*lines, ""])
