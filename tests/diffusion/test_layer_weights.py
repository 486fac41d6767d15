from typing import get_args

import pytest

from underpaint.diffusion.layer_weights import Part, WeightType, layer_weights
from underpaint.wire import ip_adapters


def unet(down: int, mid: int, up: int) -> list[Part]:
    counts: dict[Part, int] = {"down": down, "mid": mid, "up": up}
    return [part for part, count in counts.items() for _ in range(count)]


SD1, SDXL = unet(6, 1, 9), unet(4, 1, 6)


def test_the_wire_knows_the_same_kinds() -> None:
    """Neither may import the other: both are on the ground floor."""
    assert get_args(ip_adapters.WeightType) == get_args(WeightType)


@pytest.mark.parametrize("parts", [SD1, SDXL])
@pytest.mark.parametrize("kind", get_args(WeightType))
def test_every_kind_spreads_the_weight_and_is_linear_in_it(parts: list[Part], kind: WeightType) -> None:
    whole = layer_weights(parts, kind=kind, weight=1.0, composition=1.0)
    half = layer_weights(parts, kind=kind, weight=-0.5, composition=-0.5)
    assert len(whole) == len(parts)
    assert max(whole) <= 1.0
    assert min(whole) >= 0.0
    assert max(whole) > 0.9
    assert half == pytest.approx([-0.5 * weight for weight in whole])


def test_the_kinds_that_ease() -> None:
    def spread(kind: WeightType) -> list[float]:
        return layer_weights(SD1, kind=kind, weight=1.0)

    assert spread("ease_in")[0] == 1.0
    assert spread("ease_in") == sorted(spread("ease_in"), reverse=True)
    assert spread("ease_out")[0] == pytest.approx(0.05)
    assert spread("ease_out") == sorted(spread("ease_out"))
    assert spread("ease_in_out")[8] == 1.0
    assert spread("ease_in_out")[0] == pytest.approx(0.05)


def test_the_kinds_of_parts() -> None:
    assert layer_weights(SDXL, kind="weak_input", weight=1.0) == [0.2] * 4 + [1.0] * 7
    assert layer_weights(SDXL, kind="weak_middle", weight=1.0) == [1.0] * 4 + [0.2] + [1.0] * 6
    assert layer_weights(SDXL, kind="weak_output", weight=1.0) == [1.0] * 5 + [0.2] * 6
    assert layer_weights(SDXL, kind="strong_middle", weight=1.0) == [0.2] * 4 + [1.0] + [0.2] * 6


def test_style_and_composition_have_layers_of_their_own() -> None:
    style = layer_weights(SDXL, kind="style_transfer", weight=0.8)
    composition = layer_weights(SDXL, kind="composition", weight=0.8)
    assert [at for at, weight in enumerate(style) if weight] == [6]
    assert [at for at, weight in enumerate(composition) if weight] == [3]
    both = layer_weights(SDXL, kind="style_and_composition", weight=0.8, composition=0.3)
    assert (both[6], both[3], sum(map(bool, both))) == (0.8, 0.3, 2)
    strong = layer_weights(SDXL, kind="strong_style_transfer", weight=0.8)
    assert strong == [0.8] * 3 + [0.0] + [0.8] * 7
    everything = layer_weights(SD1, kind="strong_style_and_composition", weight=0.8, composition=0.4)
    assert everything == [0.8] * 4 + [0.4, 0.4] + [0.8] * 10
    assert layer_weights(SD1, kind="composition", weight=0.8)[4:6] == [0.2, 0.8]


@pytest.mark.parametrize("kind", ["style_transfer", "composition", "strong_style_and_composition"])
def test_layers_of_an_unknown_unet_are_not_guessed(kind: WeightType) -> None:
    with pytest.raises(ValueError, match="5 layers"):
        layer_weights(unet(2, 1, 2), kind=kind, weight=1.0)
    assert len(layer_weights(unet(1, 1, 1), kind="ease_in", weight=1.0)) == 3
