"""LoRAs of FLUX.1, in each of the layouts in which they are published.

Black Forest Labs' names and diffusers' stand in them with dots or, as kohya writes them, with underscores, after a
variety of beginnings. So every layer of the model is entered under all of its names with underscores, and so are the
layers of files that are several of the model's: there, one lower half goes with parts of one upper half.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.lora import (
    Lora,
    LowRank,
    fitted,
    read_tensors,
    scale_by_alpha,
    scaled_as_described,
)
from underpaint.diffusion.lora_names import other_method

_HALF = re.compile(r"(?P<layer>.+?)\.(lora_|lora\.)?(?P<half>A|B|down|up)\.weight")
_BEGINNINGS: Mapping[str, tuple[str, ...]] = {
    "transformer": (
        *("lora_transformer_", "lora_unet_", "base_model_model_", "model_diffusion_model_"),
        *("diffusion_model_", "transformer_", "unet_", ""),
    ),
    "text_encoder": ("lora_te1_", "lora_te_", "text_encoders_clip_l_transformer_", "text_encoder_"),
    "text_encoder_2": ("lora_te2_", "lora_te3_", "text_encoders_t5xxl_transformer_", "text_encoder_2_"),
}
"""Of names, by network."""

_QUERY_KEY_VALUE = ("attn.to_q", "attn.to_k", "attn.to_v")
_QUERY_KEY_VALUE_OF_TEXT = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_DOUBLE: Mapping[str, tuple[str, ...]] = {
    "img_attn_qkv": _QUERY_KEY_VALUE,
    "img_attn_proj": ("attn.to_out.0",),
    "img_mlp_0": ("ff.net.0.proj",),
    "img_mlp_2": ("ff.net.2",),
    "img_mod_lin": ("norm1.linear",),
    "txt_attn_qkv": _QUERY_KEY_VALUE_OF_TEXT,
    "txt_attn_proj": ("attn.to_add_out",),
    "txt_mlp_0": ("ff_context.net.0.proj",),
    "txt_mlp_2": ("ff_context.net.2",),
    "txt_mod_lin": ("norm1_context.linear",),
    # XLabs'.
    "processor_qkv_lora1": _QUERY_KEY_VALUE,
    "processor_qkv_lora2": _QUERY_KEY_VALUE_OF_TEXT,
    "processor_proj_lora1": ("attn.to_out.0",),
    "processor_proj_lora2": ("attn.to_add_out",),
}
_SINGLE: Mapping[str, tuple[str, ...]] = {
    "linear1": (*_QUERY_KEY_VALUE, "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm.linear",),
    "processor_qkv_lora": _QUERY_KEY_VALUE,
    "processor_proj_lora": ("proj_out",),
}
_REST: Mapping[str, str] = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in_in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in_out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in_in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in_out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in_in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in_out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer_linear": "proj_out",
}
_LAST_NORM, _LAST_NORM_OF_DIFFUSERS = "final_layer_adaLN_modulation_1", "norm_out.linear"
"""Shift and scale change places between them."""


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The layers of the model that a layer of a file is."""

    network: str
    layers: Sequence[str]
    swapped: bool = False
    """Whether the halves of its output change places."""


def load_flux_lora(location: Path, networks: Mapping[str, nn.Module]) -> Lora:
    """Read a LoRA.

    Args:
        location: a safetensors file.
        networks: those of the model, by diffusers' names: the "transformer", and both text encoders.

    Raises:
        ModelLoadError: the file is damaged, or for another architecture, or of another method.
    """
    try:
        halves = _halves(*read_tensors(location))
        targets = {name: dict(_targets(name, network)) for name, network in networks.items()}
        layers: dict[str, dict[str, LowRank]] = {name: {} for name in networks}
        for layer, (down, up) in halves.items():
            target = _target(layer, targets)
            if target is None and down.any() and up.any():
                raise ValueError(f"there is no layer for {layer}")
            if target is not None:
                _enter(layers[target.network], networks[target.network], target, down, up)
    except (OSError, ValueError, KeyError, RuntimeError) as failure:
        raise ModelLoadError(
            f"{location.name} cannot be used as a LoRA of this model: {failure}"
        ) from failure
    if not any(layers.values()):
        raise ModelLoadError(f"{location.name} adds nothing to this model")
    return Lora(name=str(location), layers=layers)


def _halves(tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Lower and upper half of each layer of a file, by its name there, with the scale within the upper one."""
    if method := other_method(tensors):
        raise ValueError(f"it is no plain LoRA, but {method}")
    scale_by_alpha(tensors)
    described = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    tensors = scaled_as_described(tensors, described) if described else tensors
    lower: dict[str, Tensor] = {}
    upper: dict[str, Tensor] = {}
    for name, part in tensors.items():
        match = _HALF.fullmatch(name)
        if match is None and part.any():
            raise ValueError(f"{name} belongs to no layer")
        if match is not None:
            (lower if match["half"] in ("A", "down") else upper)[match["layer"]] = part
    if lower.keys() != upper.keys():
        raise ValueError(f"{min(lower.keys() ^ upper.keys())} has one half of two")
    return {layer: (down, upper[layer]) for layer, down in lower.items()}


def _targets(name: str, network: nn.Module) -> Iterator[tuple[str, _Target]]:
    """The layers of a network by all of their names, with underscores."""
    own = [layer for layer, module in network.named_modules() if isinstance(module, nn.Linear)]
    for layer in own:
        plain = layer.removeprefix("text_model.").replace(".", "_")
        for called in (plain, f"text_model_{plain}"):
            yield called, _Target(network=name, layers=(layer,))
    for start, theirs, parts in (
        ("transformer_blocks", "double_blocks", _DOUBLE),
        ("single_transformer_blocks", "single_blocks", _SINGLE),
    ):
        numbers = {layer.split(".")[1] for layer in own if layer.startswith(f"{start}.")}
        for number in numbers:
            for called, layers in parts.items():
                found = tuple(f"{start}.{number}.{layer}" for layer in layers)
                yield f"{theirs}_{number}_{called}", _Target(network=name, layers=found)
    for called, layer in _REST.items():
        if layer in own:
            yield called, _Target(network=name, layers=(layer,))
    if _LAST_NORM_OF_DIFFUSERS in own:
        yield _LAST_NORM, _Target(network=name, layers=(_LAST_NORM_OF_DIFFUSERS,), swapped=True)


def _target(layer: str, targets: Mapping[str, Mapping[str, _Target]]) -> _Target | None:
    called = layer.replace(".", "_")
    for network, beginnings in _BEGINNINGS.items():
        for beginning in beginnings:
            target = targets[network].get(called.removeprefix(beginning))
            if target is not None and called.startswith(beginning):
                return target
    return None


def _enter(layers: dict[str, LowRank], network: nn.Module, target: _Target, down: Tensor, up: Tensor) -> None:
    if target.swapped:
        up = torch.cat(up.chunk(2)[::-1])
    modules = [network.get_submodule(layer) for layer in target.layers]
    heights = [module.weight.shape[0] for module in modules if isinstance(module.weight, Tensor)]
    if sum(heights) != up.shape[0]:
        raise ValueError(
            f"{' and '.join(target.layers)} has another shape there ({up.shape[0]} rows, not {sum(heights)})"
        )
    for layer, module, part in zip(target.layers, modules, torch.split(up, heights), strict=True):
        if layer in layers:
            raise ValueError(f"{layer} is there twice")
        layers[layer] = fitted(layer, module, down, part)
