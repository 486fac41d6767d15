"""How strongly an IP-Adapter acts on each cross-attention of a UNet.

The kinds and their numbers are those of ComfyUI_IPAdapter_plus, whose names the API uses. Which layers hold style and
which composition is from InstantStyle (Wang et al., arXiv:2404.02733).
"""

from collections.abc import Sequence
from typing import Literal

WeightType = Literal[
    "normal",
    "ease_in",
    "ease_out",
    "ease_in_out",
    "weak_input",
    "weak_output",
    "weak_middle",
    "strong_middle",
    "style_transfer",
    "composition",
    "strong_style_transfer",
    "style_and_composition",
    "strong_style_and_composition",
]

NAMING_LAYERS: frozenset[WeightType] = frozenset(
    {
        "style_transfer",
        "composition",
        "strong_style_transfer",
        "style_and_composition",
        "strong_style_and_composition",
    }
)
"""Kinds that name single layers, which are known for some UNets only."""

Part = Literal["down", "mid", "up"]
"""Of a UNet."""

LEAST = 0.05
"""What is left of the weight where a kind that eases has it smallest."""
WEAK = 0.2
"""What is left of it in a part that is weak."""

_STYLE = {11: (6,), 16: (0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15)}
"""Transformers by which a picture's style goes in, by how many there are: 11 in SDXL, 16 in Stable Diffusion 1.x."""
_COMPOSITION = {11: {3: 1.0}, 16: {4: 0.25, 5: 1.0}}
"""Those by which its composition does, each with a factor."""

KNOWN_COUNTS = frozenset(_STYLE)
"""By how many transformers those UNets are known."""


def layer_weights(
    parts: Sequence[Part], *, kind: WeightType, weight: float, composition: float = 1.0
) -> list[float]:
    """The weight of each transformer of a UNet.

    Args:
        parts: where each is, in the order in which the UNet comes to them.
        kind: how the weight is spread over them.
        weight: of the adapter.
        composition: weight of the layers of composition, for the kinds that have both.

    Raises:
        ValueError: the kind names single layers, and the UNet is none whose layers are known.
    """
    count = len(parts)
    match kind:
        case "normal":
            return [weight] * count
        case "ease_in":
            return [_eased(weight, 1 - at / count) for at in range(count)]
        case "ease_out":
            return [_eased(weight, at / count) for at in range(count)]
        case "ease_in_out":
            return [_eased(weight, 1 - abs(2 * at / count - 1)) for at in range(count)]
        case "weak_input" | "weak_middle" | "weak_output" | "strong_middle":
            weak = {"weak_input": ("down",), "weak_middle": ("mid",), "weak_output": ("up",)}
            return [weight * (WEAK if part in weak.get(kind, ("down", "up")) else 1.0) for part in parts]
    if count not in _STYLE:
        raise ValueError(f"which of its {count} layers hold style and composition is not known")
    composing = _COMPOSITION[count]
    match kind:
        case "style_transfer":
            weights = dict.fromkeys(_STYLE[count], weight)
        case "composition":
            weights = {at: weight * factor for at, factor in composing.items()}
        case "strong_style_transfer":
            weights = {at: weight for at in range(count) if at not in composing}
        case "style_and_composition":
            weights = dict.fromkeys(_STYLE[count], weight)
            weights |= {at: composition * factor for at, factor in composing.items()}
        case "strong_style_and_composition":
            weights = dict.fromkeys(range(count), weight) | dict.fromkeys(composing, composition)
    return [weights.get(at, 0.0) for at in range(count)]


def _eased(weight: float, share: float) -> float:
    return weight * (LEAST + (1 - LEAST) * share)
