"""LoRAs with random weights, in the layouts in which they are published."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Layout = Literal["kohya", "diffusers", "attention processors"]
"""The last is diffusers' own before it took peft's."""

_TEXT_LAYERS = r"\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2)$"
_UNET_LAYERS = (
    r"(to_q|to_k|to_v|to_out\.0|ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out|conv1|conv2|time_emb_proj)$"
)


def write_lora(
    file: Path,
    networks: dict[str, Any],
    *,
    layout: Layout = "kohya",
    rank: int = 3,
    alpha: float | None = 6.0,
    strength: float = 0.25,
    seed: int = 0,
) -> Path:
    """A LoRA for the layers that LoRAs are usually trained for.

    Args:
        file: where it goes.
        networks: of a model, by diffusers' names: those that it adds to.
        layout: names of its tensors.
        rank: of each product.
        alpha: kohya's scale, which counts by the rank; None for none.
        strength: of what it adds.
        seed: for other weights.
    """
    dice = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for network, layer, module in _layers(networks):
        down, up = _halves(module, rank, dice, strength)
        tensors |= _named(network, layer, down, up, alpha, layout)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: part.contiguous() for name, part in tensors.items()}, file)
    return file


def _layers(networks: dict[str, Any]) -> Iterator[tuple[str, str, nn.Module]]:
    for network, modules in networks.items():
        pattern = _UNET_LAYERS if network == "unet" else _TEXT_LAYERS
        for layer, module in modules.named_modules():
            if re.search(pattern, layer) and isinstance(module, nn.Linear | nn.Conv2d):
                yield network, layer, module


def _halves(module: Any, rank: int, dice: torch.Generator, strength: float) -> tuple[Tensor, Tensor]:
    if isinstance(module, nn.Conv2d):
        down = torch.randn((rank, module.in_channels, *module.kernel_size), generator=dice)
        up = torch.randn((module.out_channels, rank, 1, 1), generator=dice)
    else:
        down = torch.randn((rank, module.in_features), generator=dice)
        up = torch.randn((module.out_features, rank), generator=dice)
    scale = strength * float(module.weight.detach().std()) / rank
    return down, up * scale


def _named(
    network: str, layer: str, down: Tensor, up: Tensor, alpha: float | None, layout: Layout
) -> dict[str, Tensor]:
    if layout == "kohya":
        start = {"unet": "lora_unet_", "text_encoder": "lora_te_", "text_encoder_2": "lora_te2_"}[network]
        if network != "unet" and not layer.startswith("text_model."):
            layer = f"text_model.{layer}"
        name = start + layer.replace(".", "_")
        scaled = {} if alpha is None else {f"{name}.alpha": torch.tensor(alpha)}
        return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, **scaled}
    name = f"{network}.{layer}"
    if layout == "attention processors":
        if network != "unet":
            name += ".lora_linear_layer"
        elif re.search(r"attn\d\.to_", layer):
            attention, _, part = layer.rpartition(".to_")
            name = f"unet.{attention}.processor.to_{part.removesuffix('.0')}_lora"
        else:
            name += ".lora"
        return {f"{name}.down.weight": down, f"{name}.up.weight": up}
    return {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
