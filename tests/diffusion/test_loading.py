import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.sampler import build_scheduler
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS
from underpaint.diffusion.stable_diffusion import StableDiffusion

from .single_file import write_single_file

UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def load(location: Path, config: Path | None = None) -> StableDiffusion:
    return StableDiffusion.load(location, config=config, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt to reach another machine fails."""

    def refuse(*arguments: Any) -> None:
        raise OSError("these tests reach no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(sd1_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that the test may damage."""
    return Path(shutil.copytree(sd1_checkpoint, tmp_path / "small-model"))


@pytest.fixture(scope="module")
def single_file(sd1_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_single_file(sd1_checkpoint, tmp_path_factory.mktemp("single") / "small.safetensors")


def test_an_inpainting_checkpoint_is_told_by_its_first_layer(
    make_checkpoint: Callable[..., Path], sd1_checkpoint: Path, tmp_path: Path
) -> None:
    """A single file is loaded with the configuration of a base model, which says four channels."""
    folder = make_checkpoint(in_channels=9)
    file = write_single_file(folder, tmp_path / "inpainting.safetensors")
    assert load(folder).sees_mask
    from_file = load(file, config=sd1_checkpoint)
    assert from_file.sees_mask
    assert from_file.latent_shape(width_px=64, height_px=64) == (1, 4, 8, 8)
    assert not load(sd1_checkpoint).sees_mask


def test_a_model_of_other_channels_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ModelLoadError, match="takes 8 channels and gives 4"):
        load(make_checkpoint(in_channels=8))


def test_a_folder_is_loaded_without_a_network(sd1_checkpoint: Path) -> None:
    model = load(sd1_checkpoint)
    assert model.latent_shape(width_px=128, height_px=64) == (1, 4, 8, 16)
    assert model.scheduler_config["_class_name"] == "PNDMScheduler"
    assert not model.guidance_is_an_input


NOTHING = torch.tensor([])
"""What a marker among the weights holds."""


@pytest.mark.parametrize(
    ("markers", "metadata", "told"),
    [
        ({}, {}, {}),
        ({}, {"modelspec.predict_key": "epsilon"}, {}),
        ({"v_pred": NOTHING}, {}, {"prediction_type": "v_prediction"}),
        ({}, {"modelspec.predict_key": "v"}, {"prediction_type": "v_prediction"}),
        (
            {"v_pred": NOTHING, "ztsnr": NOTHING},
            {},
            {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
        ),
    ],
)
def test_a_single_file_says_what_its_model_predicts(
    single_file: Path,
    sd1_checkpoint: Path,
    tmp_path: Path,
    markers: dict[str, torch.Tensor],
    metadata: dict[str, str],
    told: dict[str, Any],
) -> None:
    marked = tmp_path / "marked.safetensors"
    save_file({**load_file(single_file), **markers}, marked, metadata=metadata)
    usual = load(single_file, config=sd1_checkpoint)
    model = load(marked, config=sd1_checkpoint)
    assert model.scheduler_config == {**usual.scheduler_config, **told}
    # The samplers of a request are made of it.
    scheduler = build_scheduler(STABLE_DIFFUSION_SCHEDULERS["Euler a"], model.scheduler_config, seed=1)
    assert scheduler.config.prediction_type == told.get("prediction_type", "epsilon")
    assert scheduler.config.rescale_betas_zero_snr == told.get("rescale_betas_zero_snr", False)


def test_without_a_marker_the_configuration_says_what_a_model_predicts(
    single_file: Path, folder: Path
) -> None:
    config = folder / "scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prediction_type": "v_prediction"}))
    assert load(single_file, config=folder).scheduler_config["prediction_type"] == "v_prediction"


def test_a_single_file_whose_configuration_is_not_here_says_so(single_file: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"small\.safetensors cannot be loaded"):
        load(single_file)


class _Trap:
    """Pickled, an order to create a file for whoever unpickles it."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self._sprung),)


@pytest.mark.parametrize(
    ("component", "weights", "pickled"),
    [
        ("unet", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("vae", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("text_encoder", "model.safetensors", "pytorch_model.bin"),
    ],
)
def test_pickled_weights_in_a_folder_are_never_opened(
    folder: Path, tmp_path: Path, component: str, weights: str, pickled: str
) -> None:
    (folder / component / weights).unlink()
    (folder / component / pickled).write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))
    with pytest.raises(ModelLoadError, match="small-model cannot be loaded"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.pt", "model.safetensors"])
def test_a_pickled_single_file_is_never_opened(sd1_checkpoint: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"state_dict": _Trap(tmp_path / "sprung")}))
    with pytest.raises(ModelLoadError, match=name):
        load(tmp_path / name, config=sd1_checkpoint)
    assert not (tmp_path / "sprung").exists()


def test_a_ckpt_with_harmless_weights_is_refused_for_being_a_pickle(
    sd1_checkpoint: Path, single_file: Path, tmp_path: Path
) -> None:
    torch.save(load_file(single_file), tmp_path / "model.ckpt")
    with pytest.raises(ModelLoadError, match="safetensors"):
        load(tmp_path / "model.ckpt", config=sd1_checkpoint)


def test_code_that_comes_with_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["trap", "Trap"]}))
    (folder / "unet/trap.py").write_text(f"import os; os.mkdir({str(tmp_path / 'sprung')!r})\n")
    with pytest.raises(ModelLoadError):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def _truncate(folder: Path) -> None:
    weights = (folder / UNET_WEIGHTS).read_bytes()
    (folder / UNET_WEIGHTS).write_bytes(weights[: len(weights) // 2])


def _garble(folder: Path) -> None:
    (folder / UNET_WEIGHTS).write_bytes(b"\xff" * 1000)


def _empty(folder: Path) -> None:
    (folder / UNET_WEIGHTS).write_bytes(b"")


def _lose_weights(folder: Path) -> None:
    (folder / UNET_WEIGHTS).unlink()


def _lose_tensor(folder: Path) -> None:
    tensors = load_file(folder / UNET_WEIGHTS)
    del tensors["mid_block.resnets.0.conv1.weight"]
    save_file(tensors, folder / UNET_WEIGHTS)


def _lose_text_tensor(folder: Path) -> None:
    weights = folder / "text_encoder/model.safetensors"
    tensors = load_file(weights)
    lost = next(name for name in tensors if "final_layer_norm.weight" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, weights)


def _reshape_tensor(folder: Path) -> None:
    tensors = load_file(folder / UNET_WEIGHTS)
    tensors["conv_out.weight"] = torch.zeros(4, 8, 3, 3)
    save_file(tensors, folder / UNET_WEIGHTS)


def _lose_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def _break_config(folder: Path) -> None:
    (folder / "unet/config.json").write_text('{"in_channels": ')


def _lose_tokenizer(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")


DAMAGES = [
    _truncate,
    _garble,
    _empty,
    _lose_weights,
    _lose_tensor,
    _lose_text_tensor,
    _reshape_tensor,
    _lose_index,
    _break_config,
    _lose_tokenizer,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__.lstrip("_") for damage in DAMAGES])
def test_a_damaged_folder_says_which_model_it_is(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(ModelLoadError, match=r"small-model cannot be loaded: .") as refusal:
        load(folder)
    assert len(str(refusal.value)) < 2000


def test_a_single_file_that_lacks_a_tensor_is_refused(
    sd1_checkpoint: Path, single_file: Path, tmp_path: Path
) -> None:
    tensors = load_file(single_file)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    save_file(tensors, tmp_path / "lacking.safetensors")
    with pytest.raises(ModelLoadError, match=r"lacking\.safetensors"):
        load(tmp_path / "lacking.safetensors", config=sd1_checkpoint)


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_pictures_that_are_not_numbers_are_an_error(sd1_checkpoint: Path) -> None:
    model = load(sd1_checkpoint)
    with pytest.raises(FloatingPointError, match="not numbers"):
        model.decode(torch.full((1, 4, 8, 8), float("nan")))


def test_a_folder_with_half_precision_only_is_loaded(sd1_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(sd1_checkpoint, folder)
    for weights in folder.glob("*/*.safetensors"):
        weights.rename(weights.with_name(weights.name.replace(".safetensors", ".fp16.safetensors")))
    half, full = load(folder), load(sd1_checkpoint)
    assert half.encode_prompt("a house").hidden_states.equal(full.encode_prompt("a house").hidden_states)
    assert half.latent_channels == full.latent_channels
