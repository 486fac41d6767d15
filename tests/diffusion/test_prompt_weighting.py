"""Weights within prompts are read as written, and act on their own words."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from underpaint.diffusion.prompt_weighting import PromptSyntaxError, PromptWeighting, weighted_fragments
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.stable_diffusion import StableDiffusion

WINDOW = 77


@pytest.fixture(scope="module")
def model(sd1_checkpoint: Path) -> StableDiffusion:
    return StableDiffusion.load(sd1_checkpoint, config=None, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(
    ("prompt", "fragments"),
    [
        ("", []),
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("a ((red)) cat", [("a ", 1.0), ("red", 1.21), (" cat", 1.0)]),
        ("a [red] cat", [("a ", 1.0), ("red", 1 / 1.1), (" cat", 1.0)]),
        ("a (red:1.5) cat", [("a ", 1.0), ("red", 1.5), (" cat", 1.0)]),
        ("(a (red:0.5) cat:2)", [("a ", 2.0), ("red", 1.0), (" cat", 2.0)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(red:-1)", [("red", -1.0)]),
        (r"a \(red\) cat", [("a (red) cat", 1.0)]),
        ("never (closed", [("never ", 1.0), ("closed", 1.1)]),
        ("never opened) :1.5)", [("never opened) :1.5)", 1.0)]),
        ("at 10:30 (in the morning)", [("at 10:30 ", 1.0), ("in the morning", 1.1)]),
        ("(crossed [brackets) here]", [("crossed ", 1.1), ("brackets) here", 1.0)]),
    ],
)
def test_the_notation_of_sd_embeds(prompt: str, fragments: list[tuple[str, float]]) -> None:
    read = weighted_fragments(prompt)

    assert [words for words, _ in read] == [words for words, _ in fragments]
    assert [weight for _, weight in read] == pytest.approx([weight for _, weight in fragments])


@given(st.text(alphabet="ab ()[]:.15\\", max_size=60))
def test_every_text_has_a_reading(prompt: str) -> None:
    read = weighted_fragments(prompt)

    assert all(words for words, _ in read)
    assert sum(len(words) for words, _ in read) <= len(prompt)


@settings(deadline=None, max_examples=20)
@given(st.text(alphabet="abc ,.", max_size=60))
def test_a_prompt_without_brackets_is_a_plain_one(model: StableDiffusion, prompt: str) -> None:
    torch.testing.assert_close(
        model.encode_prompt(prompt, weighting="sdEmbeds").hidden_states,
        model.encode_prompt(prompt).hidden_states,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_weight_multiplies_the_states_of_its_own_words(model: StableDiffusion) -> None:
    plain = model.encode_prompt("the cat dog").hidden_states
    weighted = model.encode_prompt("the (cat:1.5) dog", weighting="sdEmbeds").hidden_states

    factors = (weighted / plain).mean(1)
    assert set(factors.mul(100).round().tolist()) == {100.0, 150.0}


def test_a_weight_beyond_the_first_window_acts_there(model: StableDiffusion) -> None:
    words = "cat " * 100
    plain = model.encode_prompt(words + "dog").hidden_states
    weighted = model.encode_prompt(words + "(dog:2)", weighting="sdEmbeds").hidden_states

    assert plain.shape == weighted.shape
    torch.testing.assert_close(weighted[:WINDOW], plain[:WINDOW])
    assert not torch.allclose(weighted[WINDOW:], plain[WINDOW:])


@pytest.mark.parametrize("clip_skip", [0, 1])
@pytest.mark.parametrize(
    "prompt", ["a cat", "a cat++ and a (red dog)1.3", '("a cat", "a dog").blend(0.7, 0.3)', ""]
)
def test_compel_gives_what_the_library_gives(
    model: StableDiffusion, sd1_checkpoint: Path, prompt: str, clip_skip: int
) -> None:
    from compel import Compel, ReturnedEmbeddingsType
    from diffusers import StableDiffusionPipeline

    with quiet_libraries():
        pipeline = StableDiffusionPipeline.from_pretrained(
            sd1_checkpoint, safety_checker=None, unet=None, vae=None
        )
    # compel looks for a level of CLIPTextModel that transformers 5 no longer has; set so that torch sees no cycle.
    object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)
    kind = (
        ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NORMALIZED
        if clip_skip
        else ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED
    )
    theirs = Compel(pipeline.tokenizer, pipeline.text_encoder, returned_embeddings_type=kind)(prompt)[0]

    ours = model.encode_prompt(prompt, weighting="compel", clip_skip=clip_skip).hidden_states
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_compel_s_notation_goes_with_two_skipped_layers(model: StableDiffusion) -> None:
    skipped = model.encode_prompt("a cat", weighting="compel", clip_skip=2).hidden_states

    torch.testing.assert_close(
        skipped, model.encode_prompt("a cat", clip_skip=2).hidden_states, rtol=1e-4, atol=1e-5
    )


def test_a_long_prompt_in_compel_s_notation_loses_nothing(model: StableDiffusion) -> None:
    encoded = model.encode_prompt("cat, " * 80 + "dog++", weighting="compel").hidden_states

    assert len(encoded) % WINDOW == 0
    assert len(encoded) > 2 * WINDOW


@pytest.mark.parametrize("weighting", ["compel", "sdEmbeds"])
@pytest.mark.parametrize(
    "prompt", ["((((", ")))", '("a", "b").blend(1)', "++--", "(:)", "().and()", "[[]:1.0)"]
)
def test_odd_prompts_are_read_or_refused_in_words(
    model: StableDiffusion, prompt: str, weighting: PromptWeighting
) -> None:
    try:
        encoded = model.encode_prompt(prompt, weighting=weighting).hidden_states
    except PromptSyntaxError as refusal:
        assert "compel's syntax" in str(refusal)  # noqa: PT017
    else:
        assert torch.isfinite(encoded).all()
