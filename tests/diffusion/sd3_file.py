"""Writes a Stable Diffusion 3 diffusers folder as one file, as Stability AI does: with or without text encoders."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.diffusion.single_file import autoencoder_tensors

_ENDS = {
    "pos_embed.pos_embed": "pos_embed",
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_BLOCK = {
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
}
_JOINED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
_TEXT = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl"}


def write_sd3_file(
    folder: Path, file: Path, *, text_encoders: tuple[str, ...] = tuple(_TEXT), autoencoder: bool = True
) -> Path:
    """`folder` holds a pipeline of the 3.0 kind; the file has the components that are named."""
    tensors = {"model.diffusion_model." + name: tensor for name, tensor in _transformer(folder).items()}
    if autoencoder:
        for name, tensor in autoencoder_tensors(folder).items():
            tensors["first_stage_model." + name] = tensor
    for component in text_encoders:
        for name, tensor in load_file(folder / component / "model.safetensors").items():
            # The first one is published without the projection, which would change nothing.
            if (component, name) != ("text_encoder", "text_projection.weight"):
                tensors[f"text_encoders.{_TEXT[component]}.transformer.{name}"] = tensor
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, file)
    return file


def _transformer(folder: Path) -> dict[str, Tensor]:
    own = load_file(folder / "transformer/diffusion_pytorch_model.safetensors")
    blocks = 1 + max(int(name.split(".")[1]) for name in own if name.startswith("transformer_blocks."))
    tensors: dict[str, Tensor] = {}
    for name, tensor in own.items():
        for ours, theirs in _ENDS.items():
            if name == ours or name.startswith(ours + "."):
                # Shift and scale change places.
                swapped = ours == "norm_out.linear"
                tensors[theirs + name.removeprefix(ours)] = _swapped(tensor) if swapped else tensor
    for block in range(blocks):
        start = f"transformer_blocks.{block}."
        for kind in ("weight", "bias"):
            for ours, theirs in _BLOCK.items():
                if (name := f"{start}{ours}.{kind}") in own:
                    swapped = ours == "norm1_context.linear" and block == blocks - 1
                    tensors[f"joint_blocks.{block}.{theirs}.{kind}"] = (
                        _swapped(own[name]) if swapped else own[name]
                    )
            for theirs, parts in _JOINED.items():
                tensors[f"joint_blocks.{block}.{theirs}.{kind}"] = torch.cat(
                    [own[f"{start}{part}.{kind}"] for part in parts]
                )
    return tensors


def _swapped(tensor: Tensor) -> Tensor:
    scale, shift = tensor.chunk(2)
    return torch.cat([shift, scale])
