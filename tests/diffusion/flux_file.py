"""Writes a FLUX.1 diffusers folder as one file: the transformer alone, or everything, as it is made for ComfyUI."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.diffusion.single_file import autoencoder_tensors

_ENDS = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "proj_out": "final_layer.linear",
}
_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
}
_DOUBLE_NORMS = {
    "attn.norm_q.weight": "img_attn.norm.query_norm.scale",
    "attn.norm_k.weight": "img_attn.norm.key_norm.scale",
    "attn.norm_added_q.weight": "txt_attn.norm.query_norm.scale",
    "attn.norm_added_k.weight": "txt_attn.norm.key_norm.scale",
}
_JOINED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}


def write_transformer_file(folder: Path, file: Path) -> Path:
    """The transformer alone, by Black Forest Labs' names."""
    save_file(_contiguous(_transformer(folder)), file)
    return file


def write_prefixed_file(folder: Path, file: Path) -> Path:
    """The transformer alone, by the names of files for ComfyUI, as fine-tunes are published."""
    tensors = {"model.diffusion_model." + name: tensor for name, tensor in _transformer(folder).items()}
    save_file(_contiguous(tensors), file)
    return file


def write_whole_file(folder: Path, file: Path) -> Path:
    """Every component, by the names of files for ComfyUI."""
    tensors = {"model.diffusion_model." + name: tensor for name, tensor in _transformer(folder).items()}
    for name, tensor in autoencoder_tensors(folder).items():
        tensors["vae." + name] = tensor
    for name, tensor in load_file(folder / "text_encoder/model.safetensors").items():
        plain = name.removeprefix("text_model.")
        tensors["text_encoders.clip_l.transformer.text_model." + plain] = tensor
    for name, tensor in load_file(folder / "text_encoder_2/model.safetensors").items():
        tensors["text_encoders.t5xxl.transformer." + name] = tensor
    save_file(_contiguous(tensors), file)
    return file


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone().contiguous() for name, tensor in tensors.items()}


def _transformer(folder: Path) -> dict[str, Tensor]:
    own = load_file(folder / "transformer/diffusion_pytorch_model.safetensors")
    tensors: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        for name, original in _ENDS.items():
            if f"{name}.{kind}" in own:
                tensors[f"{original}.{kind}"] = own[f"{name}.{kind}"]
        # Shift and scale change places.
        scale, shift = own[f"norm_out.linear.{kind}"].chunk(2)
        tensors[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([shift, scale])
        block, original = "transformer_blocks.0", "double_blocks.0"
        for name, theirs in _DOUBLE.items():
            tensors[f"{original}.{theirs}.{kind}"] = own[f"{block}.{name}.{kind}"]
        for theirs, parts in _JOINED.items():
            tensors[f"{original}.{theirs}.{kind}"] = torch.cat(
                [own[f"{block}.{part}.{kind}"] for part in parts]
            )
        block, original = "single_transformer_blocks.0", "single_blocks.0"
        tensors[f"{original}.modulation.lin.{kind}"] = own[f"{block}.norm.linear.{kind}"]
        tensors[f"{original}.linear2.{kind}"] = own[f"{block}.proj_out.{kind}"]
        joined = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
        tensors[f"{original}.linear1.{kind}"] = torch.cat([own[f"{block}.{part}.{kind}"] for part in joined])
    for name, theirs in _DOUBLE_NORMS.items():
        tensors[f"double_blocks.0.{theirs}"] = own[f"transformer_blocks.0.{name}"]
    tensors["single_blocks.0.norm.query_norm.scale"] = own["single_transformer_blocks.0.attn.norm_q.weight"]
    tensors["single_blocks.0.norm.key_norm.scale"] = own["single_transformer_blocks.0.attn.norm_k.weight"]
    return tensors
