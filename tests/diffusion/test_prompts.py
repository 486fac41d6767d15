from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from underpaint.diffusion.clip_text import ClipText
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.stable_diffusion import StableDiffusion

WINDOW = 77
ROOM = WINDOW - 2
"""Tokens of a window between its begin and end marks."""


@pytest.fixture(scope="module")
def model(sd1_checkpoint: Path) -> StableDiffusion:
    return StableDiffusion.load(sd1_checkpoint, config=None, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def words(sd1_checkpoint: Path) -> list[str]:
    """Words that are one token each, no two neighbours the same, enough for three windows and some."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        tokenizer = AutoTokenizer.from_pretrained(sd1_checkpoint / "tokenizer")
    candidates = [
        "red",
        "blue",
        "house",
        "sea",
        "cat",
        "dog",
        "tree",
        "night",
        "snow",
        "the",
        "of",
        "in",
        "old",
    ]
    single = [word for word in candidates if len(tokenizer(word, add_special_tokens=False).input_ids) == 1]
    assert len(single) > 5
    return [single[(index * 7 + index // len(single)) % len(single)] for index in range(3 * ROOM + 10)]


def test_a_long_prompt_is_read_window_by_window_and_no_word_is_lost(
    model: StableDiffusion, words: list[str]
) -> None:
    encoded = model.encode_prompt(" ".join(words)).hidden_states
    assert encoded.shape == (4 * WINDOW, 32)
    for number in range(4):
        window = encoded[number * WINDOW : (number + 1) * WINDOW]
        part = " ".join(words[number * ROOM : (number + 1) * ROOM])
        torch.testing.assert_close(window, model.encode_prompt(part).hidden_states, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "windows"), [(0, 1), (1, 1), (ROOM, 1), (ROOM + 1, 2), (2 * ROOM, 2)])
def test_a_window_more_only_for_a_word_more(
    model: StableDiffusion, words: list[str], count: int, windows: int
) -> None:
    assert model.encode_prompt(" ".join(words[:count])).tokens == windows * WINDOW


@pytest.mark.parametrize("count", [0, 1, 30, ROOM])
def test_a_prompt_of_one_window_gives_what_diffusers_gives(
    model: StableDiffusion, sd1_checkpoint: Path, words: list[str], count: int
) -> None:
    from diffusers import StableDiffusionPipeline

    with quiet_libraries():
        pipeline = StableDiffusionPipeline.from_pretrained(
            sd1_checkpoint, safety_checker=None, unet=None, vae=None
        )
    prompt = " ".join(words[:count])
    theirs = pipeline.encode_prompt(prompt, "cpu", 1, False)[0]
    torch.testing.assert_close(model.encode_prompt(prompt).hidden_states[None], theirs, rtol=1e-5, atol=1e-6)


def test_the_shorter_of_two_prompts_is_filled_with_empty_windows(
    model: StableDiffusion, words: list[str]
) -> None:
    short, long = model.encode_prompt("a cat"), model.encode_prompt(" ".join(words))
    for prompt, negative in ((short, long), (long, short)):
        matched = model.match_prompts(prompt, negative)
        assert matched[0].tokens == matched[1].tokens == 4 * WINDOW
        for original, filled in zip((prompt, negative), matched, strict=True):
            assert torch.equal(filled.hidden_states[: original.tokens], original.hidden_states)
            for start in range(original.tokens, filled.tokens, WINDOW):
                window = filled.hidden_states[start : start + WINDOW]
                torch.testing.assert_close(window, model.encode_prompt("").hidden_states)


def test_prompts_of_one_length_cost_nothing_to_match(
    model: StableDiffusion, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, negative = model.encode_prompt("a cat"), model.encode_prompt("fog")
    with monkeypatch.context() as patched:
        patched.delattr(ClipText, "encode")
        assert model.match_prompts(prompt, negative) == (prompt, negative)


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(max_size=400))
def test_any_text_can_be_a_prompt(model: StableDiffusion, prompt: str) -> None:
    encoded = model.encode_prompt(prompt).hidden_states
    assert len(encoded) % WINDOW == 0
    assert torch.isfinite(encoded).all()


def test_skipped_layers_change_the_encoding_but_not_its_shape(model: StableDiffusion) -> None:
    plain = model.encode_prompt("a cat").hidden_states
    skipped = model.encode_prompt("a cat", clip_skip=1).hidden_states
    assert plain.shape == skipped.shape
    assert not torch.allclose(plain, skipped)
