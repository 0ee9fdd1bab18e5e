"""Finding a machine's dead times, dead bands, flow curves, lags and leakage in a log of it."""

from kuwa_policies.identification.estimate import identify
from kuwa_policies.identification.excitation import Excitation
from kuwa_policies.identification.joint_log import JointLog, LogError
from kuwa_policies.identification.result import Estimate, FunctionResult, Identification

__all__ = [
    "Estimate",
    "Excitation",
    "FunctionResult",
    "Identification",
    "JointLog",
    "LogError",
    "identify",
]
