"""What a machine is: its data, the contracts between rooms, and its geometry."""

from kuwa_machines.errors import CommandError, KuwaError, MachineError
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.spec import MachineSpec

__all__ = [
    "CommandError",
    "KuwaError",
    "MachineError",
    "MachineSpec",
    "load_machine",
    "machine_folders",
]
