"""LoRAs of FLUX.1 with random weights, in the layouts in which they are published."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

Layout = Literal["peft", "kohya", "kohya's diffusers", "ComfyUI", "fal", "XLabs"]
RANK = 3

_DOUBLE = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "img_attn.proj": ("attn.to_out.0",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "txt_attn.proj": ("attn.to_add_out",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mod.lin": ("norm1_context.linear",),
}
_SINGLE = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
}
_XLABS = {
    "img_attn.qkv": "processor.qkv_lora1",
    "txt_attn.qkv": "processor.qkv_lora2",
    "img_attn.proj": "processor.proj_lora1",
    "txt_attn.proj": "processor.proj_lora2",
}

Layer = tuple[str, tuple[str, ...]]
"""Black Forest Labs' name of one, and diffusers' names of those that it is."""


def layers(layout: Layout = "peft", *, joined: bool = True, last: bool = True) -> list[Layer]:
    """The layers of the tests' model that a LoRA in this layout adds to.

    Args:
        layout: XLabs' knows few.
        joined: whether `linear1` is among them, whose size diffusers takes for that of the published model.
        last: whether those outside of blocks are, which diffusers drops from some layouts.
    """
    found = [
        (f"double_blocks.0.{name}", tuple(f"transformer_blocks.0.{part}" for part in parts))
        for name, parts in _DOUBLE.items()
        if layout != "XLabs" or name in _XLABS
    ]
    if layout != "XLabs":
        found += [
            (f"single_blocks.0.{name}", tuple(f"single_transformer_blocks.0.{part}" for part in parts))
            for name, parts in _SINGLE.items()
            if joined or name != "linear1"
        ]
        if last:
            found += [
                ("img_in", ("x_embedder",)),
                ("final_layer.linear", ("proj_out",)),
                ("final_layer.adaLN_modulation.1", ("norm_out.linear",)),
                ("vector_in.in_layer", ("time_text_embed.text_embedder.linear_1",)),
            ]
    return found


def write_flux_lora(
    file: Path,
    networks: Mapping[str, Any],
    found: list[Layer],
    *,
    layout: Layout = "peft",
    text: bool = False,
    alpha: float | None = None,
    strength: float = 0.4,
    seed: int = 0,
) -> Path:
    """The same LoRA in any layout: a layer that is several of diffusers' has one lower half for all.

    Args:
        file: where it goes.
        networks: of the model, by diffusers' names.
        found: what it adds to in the transformer, of `layers`.
        layout: names of its tensors.
        text: whether it adds to the first text encoder, too.
        alpha: kohya's scale, which counts by the rank; None for none.
        strength: of what it adds.
        seed: for other weights.
    """
    dice = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for called, parts in found:
        modules = [networks["transformer"].get_submodule(part) for part in parts]
        down = torch.randn((RANK, modules[0].in_features), generator=dice)
        ups = [
            torch.randn((module.out_features, RANK), generator=dice)
            * (strength * float(module.weight.detach().std()) / RANK)
            for module in modules
        ]
        if layout in ("peft", "kohya's diffusers"):
            for part, up in zip(parts, ups, strict=True):
                tensors |= _named("transformer", part, down, up, alpha, layout)
        else:
            up = torch.cat(ups)
            if "adaLN" in called:
                up = torch.cat(up.chunk(2)[::-1])
            tensors |= _named("transformer", called, down, up, alpha, layout)
    if text:
        for name, module in networks["text_encoder"].named_modules():
            if name.endswith(("q_proj", "v_proj", "fc1")):
                down = torch.randn((RANK, module.in_features), generator=dice)
                up = torch.randn((module.out_features, RANK), generator=dice)
                up *= strength * float(module.weight.detach().std()) / RANK
                plain = f"text_model.{name.removeprefix('text_model.')}"
                tensors |= _named("text_encoder", plain, down, up, alpha, layout)
    save_file({name: part.contiguous().clone() for name, part in tensors.items()}, file)
    return file


def _named(
    network: str, layer: str, down: Tensor, up: Tensor, alpha: float | None, layout: Layout
) -> dict[str, Tensor]:
    match layout:
        case "peft":
            name, ends = f"{network}.{layer}", ("lora_A", "lora_B")
        case "kohya" | "kohya's diffusers":
            transformer = "lora_unet_" if layout == "kohya" else "lora_transformer_"
            start = {"transformer": transformer, "text_encoder": "lora_te1_"}[network]
            name, ends = start + layer.replace(".", "_"), ("lora_down", "lora_up")
        case "ComfyUI":
            start = {"transformer": "diffusion_model.", "text_encoder": "text_encoders.clip_l.transformer."}[
                network
            ]
            name, ends = start + layer, ("lora_down", "lora_up")
        case "fal":
            name, ends = f"base_model.model.{layer}", ("lora_A", "lora_B")
        case "XLabs":
            block, _, part = layer.partition(".0.")
            name, ends = f"{block}.0.{_XLABS[part]}", ("down", "up")
    scaled = {} if alpha is None else {f"{name}.alpha": torch.tensor(alpha)}
    return {f"{name}.{ends[0]}.weight": down, f"{name}.{ends[1]}.weight": up, **scaled}
