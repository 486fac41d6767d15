"""What is Stable Diffusion 3's own: its prompts, and the files of its checkpoints."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.diffusion.sd3_file import write_sd3_file
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.stable_diffusion_3 import StableDiffusion3
from underpaint.engine.weights import weights_bytes


def load(location: Path, config: Path | None = None) -> StableDiffusion3:
    return StableDiffusion3.load(location, config=config, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def model(sd3_checkpoint: Path) -> StableDiffusion3:
    return load(sd3_checkpoint)


@pytest.fixture(scope="module")
def without_t5(make_sd3_checkpoint: Callable[..., Path]) -> StableDiffusion3:
    return load(make_sd3_checkpoint(t5=False))


def test_a_long_prompt_loses_no_word(model: StableDiffusion3, without_t5: StableDiffusion3) -> None:
    words = "cat " * 300
    for each in (model, without_t5):
        long, other = each.encode_prompt(words + "dog"), each.encode_prompt(words + "sea")
        assert long.tokens == other.tokens > 77 + 256
        assert not torch.allclose(long.hidden_states, other.hidden_states)
        matched = each.match_prompts(long, each.encode_prompt("fog"))
        assert matched[0].tokens == matched[1].tokens == long.tokens


def test_a_weight_multiplies_the_states_of_its_own_words(
    model: StableDiffusion3, without_t5: StableDiffusion3
) -> None:
    plain = without_t5.encode_prompt("a red house").hidden_states
    weighted = without_t5.encode_prompt("a (red:1.5) house", weighting="sdEmbeds").hidden_states
    changed = (weighted - plain).abs().sum(1) > 1e-4
    assert changed.nonzero()[:, 0].tolist() == [2]
    torch.testing.assert_close(weighted[2], plain[2] * 1.5)

    plain = model.encode_prompt("a red house").hidden_states
    weighted = model.encode_prompt("(a red house:1.5)", weighting="sdEmbeds").hidden_states
    factors = (weighted / plain)[77:].mean(1)
    assert set(factors.mul(100).round().tolist()) == {100.0, 150.0}


def test_half_precision_is_bfloat16(sd3_checkpoint: Path) -> None:
    half = StableDiffusion3.load(sd3_checkpoint, config=None, device=torch.device("cpu"), dtype=torch.float16)
    assert half.encode_prompt("a cat").hidden_states.dtype == torch.bfloat16


def test_a_file_with_clip_and_without_t5_is_a_model_without_t5(sd3_checkpoint: Path, tmp_path: Path) -> None:
    clips = ("text_encoder", "text_encoder_2")
    single = load(
        write_sd3_file(sd3_checkpoint, tmp_path / "clips.safetensors", text_encoders=clips),
        config=sd3_checkpoint,
    )
    encoded = single.encode_prompt("a red house").hidden_states
    assert encoded.shape == (77 + 256, 56)
    assert not encoded[77:].any()


def test_the_memory_of_a_file_counts_what_it_lacks(sd3_checkpoint: Path, tmp_path: Path) -> None:
    whole = write_sd3_file(sd3_checkpoint, tmp_path / "whole.safetensors")
    expected = weights_bytes(whole, torch.float32)
    for autoencoder in (True, False):
        file = tmp_path / f"{autoencoder}.safetensors"
        write_sd3_file(sd3_checkpoint, file, text_encoders=(), autoencoder=autoencoder)
        assert weights_bytes(file, torch.float32) < expected
        # The projection is what single files leave out.
        assert weights_bytes(file, torch.float32, config=str(sd3_checkpoint)) == expected + 16 * 16 * 4


def test_a_checkpoint_of_another_family_is_refused(flux_checkpoint: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be loaded"):
        load(flux_checkpoint)


def test_a_transformer_of_other_channels_is_refused(make_sd3_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ModelLoadError, match="takes 9 channels"):
        load(make_sd3_checkpoint(in_channels=9))


def test_a_file_that_lacks_weights_says_so(sd3_checkpoint: Path, tmp_path: Path) -> None:
    file = write_sd3_file(sd3_checkpoint, tmp_path / "small.safetensors", text_encoders=())
    tensors = load_file(file)
    del tensors["first_stage_model.decoder.conv_in.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelLoadError, match=r"small\.safetensors cannot be loaded: its files lack"):
        load(file, config=sd3_checkpoint)


def test_a_folder_without_an_encoder_that_it_names_says_so(sd3_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sd3_checkpoint, tmp_path / "small-model"))
    shutil.rmtree(folder / "text_encoder_3")
    with pytest.raises(ModelLoadError, match=r"small-model cannot be loaded: ."):
        load(folder)
