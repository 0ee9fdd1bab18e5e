"""Training sets in LeRobot's v3.0 layout, written natively: an episode is saved whole or not.

`writer` writes, `reader` reads (any v3.0 set, ours or not), `layout` holds every path and the order
in which files become visible, `features` what a machine's frame consists of.
"""

from kuwa_policies.datasets.features import DatasetInfo, Feature
from kuwa_policies.datasets.layout import DatasetError
from kuwa_policies.datasets.reader import Dataset, Episode
from kuwa_policies.datasets.writer import DatasetWriter

__all__ = ["Dataset", "DatasetError", "DatasetInfo", "DatasetWriter", "Episode", "Feature"]
