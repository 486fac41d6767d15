"""Which preprocessors need which networks: told without loading any."""

from collections.abc import Mapping
from types import MappingProxyType

from underpaint.preprocessors.networks import NetworkName

NETWORKS_OF: Mapping[str, tuple[NetworkName, ...]] = MappingProxyType(
    {
        "depth": ("depth",),
        "normalbae": ("depth",),
        "seg": ("segmentation",),
        "openpose": ("person", "pose"),
    }
)
"""By the API's names; the other preprocessors need none."""
