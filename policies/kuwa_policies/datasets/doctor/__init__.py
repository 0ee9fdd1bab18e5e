"""Finds what is wrong with demonstrations before anybody trains on them.

Each check takes plain arrays or what a set says of itself and returns findings; none changes
anything. What a check cannot judge, because a column is missing or nothing moved, it leaves alone.
"""

from kuwa_policies.datasets.doctor.examine import Report, examine
from kuwa_policies.datasets.doctor.finding import CHECKS, Check, Finding

__all__ = ["CHECKS", "Check", "Finding", "Report", "examine"]
