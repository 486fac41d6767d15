import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from underpaint.catalog import ModelRefused
from underpaint.catalog.contents import Contents
from underpaint.catalog.diffusers_folder import inspect_folder
from underpaint.embedded import checkpoint_dir

from .weights import write_folder, write_json, write_safetensors


def test_the_embedded_model_is_a_complete_folder() -> None:
    assert inspect_folder(checkpoint_dir("1@2")) == Contents(
        category="checkpoint", architecture="sd1x", type="base"
    )


@pytest.mark.parametrize(
    ("width", "in_channels", "architecture", "type_"),
    [
        (768, 4, "sd1x", "base"),
        (1024, 4, "sd2x", "base"),
        (768, 9, "sd1x", "inpainting"),
        (32, 4, "sd1x", "base"),
    ],
)
def test_stable_diffusion_is_told_by_its_unet(
    tmp_path: Path, width: int, in_channels: int, architecture: str, type_: str
) -> None:
    folder = write_folder(tmp_path / "model", cross_attention_dim=width, in_channels=in_channels)
    assert inspect_folder(folder) == Contents(category="checkpoint", architecture=architecture, type=type_)


@pytest.mark.parametrize(
    ("pipeline", "architecture"),
    [
        ("StableDiffusionXLPipeline", "sdxl"),
        ("StableDiffusion3Pipeline", "sd3"),
        ("QwenImageEditPlusPipeline", "qwen_image_edit"),
        ("ZImagePipeline", "z-image"),
        ("KandinskyPipeline", None),
    ],
)
def test_other_families_are_told_by_their_pipeline(
    tmp_path: Path, pipeline: str, architecture: str | None
) -> None:
    assert inspect_folder(write_folder(tmp_path / "model", pipeline=pipeline)).architecture == architecture


@pytest.mark.parametrize(
    ("pipeline", "guided", "contents"),
    [
        ("FluxPipeline", True, Contents(category="checkpoint", architecture="flux1d", type="base")),
        ("FluxPipeline", False, Contents(category="checkpoint", architecture="flux1s", type="base")),
        ("FluxFillPipeline", True, Contents(category="checkpoint", architecture="flux1d", type="inpainting")),
        (
            "FluxKontextPipeline",
            True,
            Contents(category="checkpoint", architecture="fluxkontextdev", type="base"),
        ),
    ],
)
def test_flux_is_told_by_its_guidance(
    tmp_path: Path, pipeline: str, guided: bool, contents: Contents
) -> None:
    write_json(
        tmp_path / "model_index.json",
        {"_class_name": pipeline, "transformer": ["diffusers", "FluxTransformer2DModel"]},
    )
    write_json(tmp_path / "transformer/config.json", {"guidance_embeds": guided})
    write_safetensors(tmp_path / "transformer/diffusion_pytorch_model.safetensors", {"weight": (2, 2)})
    assert inspect_folder(tmp_path) == contents


def test_an_sdxl_model_with_the_second_text_encoder_only_is_a_refiner(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", pipeline="StableDiffusionXLImg2ImgPipeline")
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder_2"] = index.pop("text_encoder")
    write_json(folder / "model_index.json", index)
    (folder / "text_encoder").rename(folder / "text_encoder_2")
    assert inspect_folder(folder) == Contents(category="checkpoint", architecture="sdxl", type="refiner")


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".PT"])
def test_weights_that_are_only_a_pickle_are_refused(tmp_path: Path, suffix: str) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    (folder / f"unet/diffusion_pytorch_model{suffix}").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"unet has its weights as a pickle only.*safetensors"):
        inspect_folder(folder)


def test_a_pickle_beside_safetensors_is_left_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"")
    assert inspect_folder(folder).architecture == "sd1x"


def test_a_pickle_that_calls_itself_safetensors_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "vae/diffusion_pytorch_model.safetensors").write_bytes(pickle.dumps([1.0] * 99))
    with pytest.raises(ModelRefused, match="is a pickle"):
        inspect_folder(folder)


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    path = folder / "text_encoder/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelRefused, match="text_encoder"):
        inspect_folder(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    weight_map = {"a": "diffusion_pytorch_model.safetensors", "b": "part-2.safetensors"}
    write_json(folder / "unet/diffusion_pytorch_model.safetensors.index.json", {"weight_map": weight_map})
    with pytest.raises(ModelRefused, match=r"unet is incomplete: part-2\.safetensors"):
        inspect_folder(folder)
    write_safetensors(folder / "unet/part-2.safetensors", {"b": (2,)})
    assert inspect_folder(folder).architecture == "sd1x"


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_a_missing_component_is_named(tmp_path: Path, component: str) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / component).rename(tmp_path / "elsewhere")
    with pytest.raises(ModelRefused, match=rf"{component} is missing"):
        inspect_folder(folder)


def test_a_folder_without_weights_in_a_component_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelRefused, match=r"vae has no \.safetensors"):
        inspect_folder(folder)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "no model_index.json"),
        ("not JSON", "is not a JSON object"),
        ({}, "names no pipeline"),
        (
            {"_class_name": "StableDiffusionPipeline", "../outside": ["diffusers", "AutoencoderKL"]},
            "odd name",
        ),
        ({"_class_name": "StableDiffusionPipeline"}, "cannot be read"),
    ],
)
def test_a_folder_that_is_no_diffusers_model_is_refused(tmp_path: Path, index: Any, message: str) -> None:
    if index is not None:
        write_json(tmp_path / "model_index.json", index)
    with pytest.raises(ModelRefused, match=message):
        inspect_folder(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff"])
def test_a_damaged_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model_index.json").write_bytes(content)
    with pytest.raises(ModelRefused, match="is not JSON"):
        inspect_folder(tmp_path)


@pytest.mark.parametrize("config", [{}, {"in_channels": "4"}, {"in_channels": 8}])
def test_a_unet_that_does_not_fit_its_autoencoder_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = write_folder(tmp_path / "model")
    write_json(folder / "unet/config.json", config)
    with pytest.raises(ModelRefused, match="channels"):
        inspect_folder(folder)
