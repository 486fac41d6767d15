"""Pictures that lead, for the library face."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from underpaint.wire.ip_adapters import CombineMethod, EmbedScaling, WeightType

Photo = str | os.PathLike[str] | bytes | Image.Image
"""A path, the bytes of a file, or an opened picture."""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """Pictures that lead a result beside its prompt, and the IP-Adapter by which they do."""

    model: str
    """AIR identifier of the IP-Adapter, of the family of the model."""
    photos: Sequence[Photo]
    """1 to 8."""
    weight: float = 1.0
    """How strongly they lead, -1 to 1."""
    combine_method: CombineMethod = "concat"
    """What becomes of several photos."""
    embed_scaling: EmbedScaling = "kv"
    """What the weight acts upon; `only_v` is what diffusers does."""
    weight_type: WeightType = "normal"
    """How it is spread over the layers of the model."""
    weight_composition: float = 1.0
    """Weight of the layers of composition, 0 to 1, with a weight type of style and composition."""
