"""What is FLUX.1's own: its prompts, its patches, and the files of its checkpoints."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.checkpoints_flux import write_flux_checkpoint
from tests.diffusion.flux_file import write_transformer_file, write_whole_file
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.flux import Flux, patched, positions, unpatched
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.weights import weights_bytes


def load(location: Path, config: Path | None = None) -> Flux:
    return Flux.load(location, config=config, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def model(flux_checkpoint: Path) -> Flux:
    return load(flux_checkpoint)


def test_patches_are_diffusers_patches() -> None:
    from diffusers import FluxPipeline

    latents = torch.randn(3, 4, 6, 10)
    patches = patched(latents)
    assert torch.equal(patches, FluxPipeline._pack_latents(latents, 3, 4, 6, 10))
    assert torch.equal(unpatched(patches, 3, 5), latents)
    theirs = FluxPipeline._prepare_latent_image_ids(1, 3, 5, "cpu", torch.float32)
    assert torch.equal(positions(3, 5), theirs)


@pytest.mark.parametrize("prompt", ["a red house", "", "two blue dogs by the sea"])
def test_a_prompt_gives_what_diffusers_gives(model: Flux, flux_checkpoint: Path, prompt: str) -> None:
    from diffusers import FluxPipeline

    with quiet_libraries():
        pipeline = FluxPipeline.from_pretrained(flux_checkpoint, transformer=None, vae=None)
        hidden, pooled, _ = pipeline.encode_prompt(prompt, prompt)
    ours = model.encode_prompt(prompt)
    torch.testing.assert_close(ours.hidden_states[None], hidden, rtol=1e-4, atol=1e-4)
    assert ours.pooled is not None
    torch.testing.assert_close(ours.pooled[None], pooled, rtol=1e-5, atol=1e-6)


def test_a_long_prompt_loses_no_word(model: Flux) -> None:
    words = "cat " * 600
    long, other = model.encode_prompt(words + "dog"), model.encode_prompt(words + "sea")
    assert long.tokens == other.tokens == 1024
    assert not torch.allclose(long.hidden_states, other.hidden_states)
    matched = model.match_prompts(long, model.encode_prompt("fog"))
    assert matched[0].tokens == matched[1].tokens == 1024


def test_schnell_was_trained_on_shorter_prompts(schnell_checkpoint: Path) -> None:
    assert load(schnell_checkpoint).encode_prompt("a cat").tokens == 256


def test_a_weight_multiplies_the_states_of_its_own_words(model: Flux) -> None:
    plain = model.encode_prompt("a red house").hidden_states
    weighted = model.encode_prompt("(a red house:1.5)", weighting="sdEmbeds").hidden_states
    factors = (weighted / plain).mean(1)
    assert set(factors.mul(100).round().tolist()) == {100.0, 150.0}


def test_half_precision_is_bfloat16(flux_checkpoint: Path) -> None:
    half = Flux.load(flux_checkpoint, config=None, device=torch.device("cpu"), dtype=torch.float16)
    assert half.encode_prompt("a cat").hidden_states.dtype == torch.bfloat16


def test_a_file_of_the_transformer_alone_counts_with_what_it_lacks(
    flux_checkpoint: Path, tmp_path: Path
) -> None:
    folder = weights_bytes(flux_checkpoint, torch.float32)
    alone = write_transformer_file(flux_checkpoint, tmp_path / "alone.safetensors")
    whole = write_whole_file(flux_checkpoint, tmp_path / "whole.safetensors")
    assert weights_bytes(alone, torch.float32) < folder
    for file in (alone, whole):
        assert weights_bytes(file, torch.float32, config=str(flux_checkpoint)) == folder


def test_a_checkpoint_of_another_family_is_refused(sdxl_checkpoint: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        load(sdxl_checkpoint)


def test_a_transformer_of_other_channels_is_refused(tmp_path: Path) -> None:
    folder = write_flux_checkpoint(tmp_path / "odd", in_channels=48)
    with pytest.raises(ModelLoadError, match="takes 48 channels"):
        load(folder)


def test_a_folder_without_its_second_encoder_says_so(flux_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(flux_checkpoint, tmp_path / "small-model"))
    shutil.rmtree(folder / "text_encoder_2")
    with pytest.raises(ModelLoadError, match=r"small-model cannot be loaded: ."):
        load(folder)
    assert json.loads((folder / "model_index.json").read_text())["text_encoder_2"]
