"""LoRAs of FLUX.1 are read in every layout, and what is not understood is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.flux_loras import Layout, layers, write_flux_lora
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.flux_lora import load_flux_lora
from underpaint.diffusion.quiet import quiet_libraries

NETWORKS = ("transformer", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def networks(flux_checkpoint: Path) -> dict[str, Any]:
    with quiet_libraries():
        pipeline = diffusers.FluxPipeline.from_pretrained(flux_checkpoint, local_files_only=True)
    return {name: getattr(pipeline, name).eval() for name in NETWORKS}


@pytest.mark.parametrize("layout", ["kohya", "kohya's diffusers", "ComfyUI", "fal", "XLabs"])
def test_every_layout_is_the_same_lora(networks: dict[str, Any], tmp_path: Path, layout: Layout) -> None:
    found, text = layers(layout), layout not in ("fal", "XLabs")
    plain = load_flux_lora(
        write_flux_lora(tmp_path / "peft.safetensors", networks, found, text=text), networks
    )
    other = load_flux_lora(
        write_flux_lora(tmp_path / "other.safetensors", networks, found, text=text, layout=layout), networks
    )
    assert other.touches_any(["text_encoder"]) is text
    for network in NETWORKS:
        assert other.layers[network].keys() == plain.layers[network].keys()
        for name, layer in plain.layers[network].items():
            assert torch.equal(other.layers[network][name].down, layer.down)
            assert torch.equal(other.layers[network][name].up, layer.up), name


def test_alpha_counts_by_the_rank(networks: dict[str, Any], tmp_path: Path) -> None:
    plain, scaled = (
        load_flux_lora(
            write_flux_lora(tmp_path / "a.safetensors", networks, layers(), layout="kohya", alpha=alpha),
            networks,
        ).layers["transformer"]
        for alpha in (None, 6.0)
    )
    for name, layer in scaled.items():
        torch.testing.assert_close(layer.up, plain[name].up * 2)


def test_t5_is_added_to(networks: dict[str, Any], tmp_path: Path) -> None:
    """diffusers leaves that part of such files out."""
    layer = "encoder.block.0.layer.0.SelfAttention.q"
    for name in ("lora_te3_" + layer.replace(".", "_"), f"text_encoders.t5xxl.transformer.{layer}"):
        file = tmp_path / "t5.safetensors"
        save_file(
            {f"{name}.lora_down.weight": torch.ones(2, 24), f"{name}.lora_up.weight": torch.ones(24, 2)}, file
        )
        assert set(load_flux_lora(file, networks).layers["text_encoder_2"]) == {layer}


Q = "transformer.transformer_blocks.0.attn.to_q"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.clear(), "adds nothing"),
        (lambda tensors: tensors.pop(f"{Q}.lora_B.weight"), "to_q has one half of two"),
        (lambda tensors: tensors.update({f"{Q}.lora_A.weight": torch.ones(3, 7)}), "another shape there"),
        (lambda tensors: tensors.update({f"{Q}.lora_B.weight": torch.ones(7, 3)}), "another shape there"),
        (
            lambda tensors: tensors[f"{Q}.lora_A.weight"].fill_(float("nan")),
            "values that are not numbers",
        ),
        (
            lambda tensors: tensors.update(
                {
                    "transformer.nowhere.lora_A.weight": torch.ones(3, 8),
                    "transformer.nowhere.lora_B.weight": torch.ones(8, 3),
                }
            ),
            "there is no layer for transformer.nowhere",
        ),
        (
            lambda tensors: tensors.update(
                {
                    "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.ones(3, 32),
                    "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": torch.ones(96, 3),
                }
            ),
            "is there twice",
        ),
        (lambda tensors: tensors.update({f"{Q}.bias": torch.ones(32)}), "belongs to no layer"),
        (lambda tensors: tensors.update({f"{Q}x.alpha": torch.tensor(3.0)}), "belongs to no layer"),
        (lambda tensors: tensors.update({f"{Q}.dora_scale": torch.ones(3)}), "but DoRA"),
        (lambda tensors: tensors.update({"lora_unet_a.hada_w1_a": torch.ones(3)}), "but LoHa"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_why(
    networks: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Tensor]], object], said: str
) -> None:
    file = write_flux_lora(tmp_path / "broken.safetensors", networks, layers())
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    with pytest.raises(ModelLoadError, match=said) as caught:
        load_flux_lora(file, networks)
    assert "broken.safetensors" in str(caught.value)


def test_what_adds_nothing_may_have_any_name(networks: dict[str, Any], tmp_path: Path) -> None:
    file = write_flux_lora(tmp_path / "zeros.safetensors", networks, layers())
    tensors = load_file(file)
    tensors |= {
        "transformer.nowhere.lora_A.weight": torch.ones(3, 8),
        "transformer.nowhere.lora_B.weight": torch.zeros(8, 3),
        f"{Q}.lora_B.bias": torch.zeros(32),
    }
    save_file(tensors, file)
    assert len(load_flux_lora(file, networks).layers["transformer"]) == sum(
        len(parts) for _, parts in layers()
    )
