"""What is SDXL's own: two text encoders, what is pooled, and the files of its checkpoints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints_xl import write_sdxl_checkpoint
from underpaint.diffusion.encoded import EncodedPrompt
from underpaint.diffusion.family import ModelLoadError, Row
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.stable_diffusion_xl import StableDiffusionXL

WINDOW = 77


def load(location: Path, config: Path | None = None) -> StableDiffusionXL:
    return StableDiffusionXL.load(location, config=config, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def model(sdxl_checkpoint: Path) -> StableDiffusionXL:
    return load(sdxl_checkpoint)


@pytest.fixture
def folder(sdxl_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that the test may damage."""
    return Path(shutil.copytree(sdxl_checkpoint, tmp_path / "small-model"))


def pooled(encoded: EncodedPrompt) -> torch.Tensor:
    assert encoded.pooled is not None
    return encoded.pooled


@pytest.mark.parametrize("clip_skip", [0, 1])
def test_a_prompt_of_one_window_gives_what_diffusers_gives(
    model: StableDiffusionXL, sdxl_checkpoint: Path, clip_skip: int
) -> None:
    from diffusers import StableDiffusionXLPipeline

    with quiet_libraries():
        pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl_checkpoint, unet=None, vae=None)
        theirs = pipeline.encode_prompt(
            "a red house", device="cpu", do_classifier_free_guidance=False, clip_skip=clip_skip or None
        )
    ours = model.encode_prompt("a red house", clip_skip=clip_skip)
    torch.testing.assert_close(ours.hidden_states[None], theirs[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(pooled(ours)[None], theirs[2], rtol=1e-5, atol=1e-6)


def test_a_long_prompt_loses_no_word_and_pools_its_first_window(model: StableDiffusionXL) -> None:
    words = "cat " * 75
    long = model.encode_prompt(words + "dog")
    assert long.hidden_states.shape == (2 * WINDOW, 80)
    first, last = model.encode_prompt(words), model.encode_prompt("dog")
    torch.testing.assert_close(long.hidden_states[:WINDOW], first.hidden_states, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(long.hidden_states[WINDOW:], last.hidden_states, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled(long), pooled(first), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prompt", ["a cat", "a cat++ and a (red dog)1.3"])
def test_compel_gives_what_the_library_gives(
    model: StableDiffusionXL, sdxl_checkpoint: Path, prompt: str
) -> None:
    from compel import Compel, ReturnedEmbeddingsType
    from diffusers import StableDiffusionXLPipeline

    with quiet_libraries():
        pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl_checkpoint, unet=None, vae=None)
    theirs, theirs_pooled = Compel(
        [pipeline.tokenizer, pipeline.tokenizer_2],
        [pipeline.text_encoder, pipeline.text_encoder_2],
        returned_embeddings_type=ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
        requires_pooled=[False, True],
    )(prompt)
    ours = model.encode_prompt(prompt, weighting="compel")
    torch.testing.assert_close(ours.hidden_states, theirs[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled(ours), theirs_pooled[0], rtol=1e-4, atol=1e-5)


def test_a_weight_multiplies_the_states_of_its_own_words(model: StableDiffusionXL) -> None:
    plain = model.encode_prompt("the cat dog")
    weighted = model.encode_prompt("the (cat:1.5) dog", weighting="sdEmbeds")
    factors = (weighted.hidden_states / plain.hidden_states).mean(1)
    assert set(factors.mul(100).round().tolist()) == {100.0, 150.0}
    torch.testing.assert_close(pooled(weighted), pooled(plain))


@pytest.mark.parametrize(
    ("prompt", "negative"), [("cat " * 100, ""), ("cat", "fog " * 200), ("cat " * 100, "fog")]
)
def test_prompts_of_any_lengths_can_be_set_against_each_other(
    model: StableDiffusionXL, prompt: str, negative: str
) -> None:
    encoded = model.encode_prompt(prompt), model.encode_prompt(negative, negative=True)
    matched = model.match_prompts(*encoded)
    assert matched[0].tokens == matched[1].tokens == max(encoded[0].tokens, encoded[1].tokens)
    for before, after in zip(encoded, matched, strict=True):
        assert torch.equal(after.hidden_states[: before.tokens], before.hidden_states)
    assert bool(matched[1].hidden_states.any()) == bool(negative)


def test_the_published_autoencoder_is_not_run_in_half_precision(sdxl_checkpoint: Path) -> None:
    half = StableDiffusionXL.load(
        sdxl_checkpoint, config=None, device=torch.device("cpu"), dtype=torch.float16
    )
    full = load(sdxl_checkpoint)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    # Its weights have been through half precision once, and nothing else has.
    difference = np.abs(half.decode(latents).astype(int) - full.decode(latents).astype(int))
    assert difference.max() <= 1
    assert half.encode_prompt("a cat").hidden_states.dtype == torch.float16


def _lose_second_encoder(folder: Path) -> None:
    shutil.rmtree(folder / "text_encoder_2")


def _lose_second_tokenizer(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer_2")


def _lose_projection(folder: Path) -> None:
    weights = folder / "text_encoder_2/model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if "text_projection" not in name}, weights)


def _be_another_family(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    del index["text_encoder_2"], index["tokenizer_2"]
    (folder / "model_index.json").write_text(json.dumps(index))


DAMAGES = [_lose_second_encoder, _lose_second_tokenizer, _lose_projection, _be_another_family]


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__.lstrip("_") for damage in DAMAGES])
def test_a_damaged_folder_says_which_model_it_is(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(ModelLoadError, match=r"small-model cannot be loaded: ."):
        load(folder)


def test_the_refiner_has_one_encoder_and_takes_a_score(tmp_path: Path) -> None:
    refiner = load(write_sdxl_checkpoint(tmp_path / "refiner", refiner=True))
    encoded = refiner.encode_prompt("a cat")
    assert encoded.hidden_states.shape == (WINDOW, 48)
    row = Row(latents=torch.randn(4, 8, 8), timestep=100.0, prompt=encoded, guidance_scale=5.0)
    away = Row(latents=row.latents, timestep=100.0, prompt=encoded, guidance_scale=5.0, negative=True)
    toward, from_ = refiner.predict([row, away])
    assert not torch.allclose(toward, from_)
