"""How far the noise levels of a flow model are shifted towards noise, by the size of the picture."""

from collections.abc import Mapping
from typing import Any


def shift_by_size(config: Mapping[str, Any], patches: int, *, most_shift: float) -> float:
    """The `mu` of diffusers' schedulers: the further, the larger the picture; linear in the number of patches.

    Esser et al. (2024), section 5.3.2.

    Args:
        config: of the checkpoint's scheduler.
        patches: that the transformer sees of a picture.
        most_shift: at the largest size, where the configuration does not say.
    """
    fewest, most = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", most_shift)
    shift: float = low + (high - low) * (patches - fewest) / (most - fewest)
    return shift
