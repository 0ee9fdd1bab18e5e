"""The black box: the last half minute of everything, on disk, whatever happens to the power."""

from kuwa_hardware.blackbox.box import BlackBox
from kuwa_hardware.blackbox.files import files_of, read
from kuwa_hardware.blackbox.records import Record, Recording, scan

__all__ = ["BlackBox", "Record", "Recording", "files_of", "read", "scan"]
