import numpy as np
import pytest

from training.captions import (
    STYLE_PHRASES,
    WEATHER_PHRASES,
    color_caption,
    plain_caption,
    style_caption,
    weather_caption,
)


@pytest.mark.parametrize("style", STYLE_PHRASES)
def test_a_style_caption_always_names_its_style_and_often_the_content(style: str) -> None:
    rng = np.random.default_rng(1)
    captions = [style_caption(rng, "a cat", style) for _ in range(40)]
    assert all(any(phrase in caption for phrase in STYLE_PHRASES[style]) for caption in captions)
    assert 10 < sum("a cat" in caption for caption in captions) < 40


def test_a_modifier_is_always_said() -> None:
    rng = np.random.default_rng(1)
    captions = [
        style_caption(rng, content, "oil", "in autumn") for content in ("", "a lake") for _ in range(20)
    ]
    assert all("in autumn" in caption for caption in captions)


@pytest.mark.parametrize("content", ["", "a red house"])
def test_captions_have_no_empty_parts(content: str) -> None:
    rng = np.random.default_rng(2)
    made = [plain_caption(rng, content) for _ in range(20)]
    made += [weather_caption(rng, content, weather) for weather in WEATHER_PHRASES for _ in range(5)]
    made += [color_caption(rng, content, "teal") for _ in range(10)]
    for caption in made:
        assert all(part.strip() for part in caption.split(","))
        assert caption == caption.strip()
