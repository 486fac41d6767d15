"""Writes a diffusers folder as one file with the tensor names of the original latent diffusion code."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


_OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm": "ln_",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def write_single_file(folder: Path, file: Path, *, layers_per_block: int = 1) -> Path:
    """`folder` holds a Stable Diffusion 1.x or SDXL pipeline, or the refiner, whose UNet has `layers_per_block`."""
    tensors = _denoiser_and_autoencoder(folder, layers_per_block)
    first, second = (folder / f"text_encoder{number}/model.safetensors" for number in ("", "_2"))
    if first.exists():
        prefix = "conditioner.embedders.0." if second.exists() else "cond_stage_model."
        for name, tensor in load_file(first).items():
            tensors[f"{prefix}transformer.text_model." + name.removeprefix("text_model.")] = tensor
    if second.exists():
        # The refiner has it alone.
        prefix = f"conditioner.embedders.{int(first.exists())}.model."
        tensors |= {prefix + name: tensor for name, tensor in _open_clip(load_file(second)).items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def write_single_file_2(folder: Path, file: Path) -> Path:
    """`folder` holds a Stable Diffusion 2.x pipeline, whose text encoder is open_clip's."""
    tensors = _denoiser_and_autoencoder(folder, 1)
    text = _open_clip(load_file(folder / "text_encoder/model.safetensors"))
    tensors |= {"cond_stage_model.model." + name: tensor for name, tensor in text.items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def _open_clip(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a CLIPTextModelWithProjection by the names of open_clip, which keeps the three of attention in one."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in text.items():
        # transformers writes what has no projection without it.
        original = name.removeprefix("text_model.")
        if name == "text_projection.weight":
            tensors["text_projection"] = tensor.T
            continue
        for ours, theirs in _OPEN_CLIP.items():
            original = original.replace(ours, theirs)
        if found := re.match(r"(.*)self_attn\.q_proj\.(weight|bias)", original):
            parts = [text[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")]
            tensors[f"{found[1]}attn.in_proj_{found[2]}"] = torch.cat(parts)
        elif "self_attn" not in original:
            tensors[original] = tensor
    return tensors


def _denoiser_and_autoencoder(folder: Path, layers_per_block: int) -> dict[str, Tensor]:
    unet = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    tensors: dict[str, Tensor] = {}
    for name, tensor in unet.items():
        tensors["model.diffusion_model." + _unet_name(name, unet, layers_per_block)] = tensor
    for name, tensor in autoencoder_tensors(folder).items():
        tensors["first_stage_model." + name] = tensor
    return tensors


def autoencoder_tensors(folder: Path) -> dict[str, Tensor]:
    """The autoencoder's weights by their original names."""
    vae = load_file(folder / "vae/diffusion_pytorch_model.safetensors")
    tensors: dict[str, Tensor] = {}
    up_blocks = 1 + max(
        int(found[1]) for name in vae if (found := re.match(r"decoder\.up_blocks\.(\d+)", name))
    )
    for name, tensor in vae.items():
        # Attention of the autoencoder is written as 1 x 1 convolutions there.
        original = _vae_name(name, up_blocks)
        is_projection = ".attn_1." in original and tensor.ndim == 2
        tensors[original] = tensor[:, :, None, None] if is_projection else tensor
    return tensors


def _unet_name(name: str, unet: Mapping[str, Tensor], layers_per_block: int) -> str:
    for end, original in _UNET_ENDS.items():
        if name.startswith(end + "."):
            return original + name.removeprefix(end)
    side, rest = name.split(".", 1)
    if side == "mid_block":
        kind, number, rest = rest.split(".", 2)
        place = 1 if kind == "attentions" else 2 * int(number)
        return f"middle_block.{place}.{_inner(kind, rest)}"
    block, kind, layer, rest = rest.split(".", 3)
    per_block = layers_per_block + 1
    if side == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(int(block) + 1) * per_block}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{1 + int(block) * per_block + int(layer)}.{_slot(kind)}.{_inner(kind, rest)}"
    if kind == "upsamplers":
        attends = any(other.startswith(f"up_blocks.{block}.attentions.") for other in unet)
        return f"output_blocks.{int(block) * per_block + layers_per_block}.{2 if attends else 1}.{rest}"
    return f"output_blocks.{int(block) * per_block + int(layer)}.{_slot(kind)}.{_inner(kind, rest)}"


def _slot(kind: str) -> int:
    return 1 if kind == "attentions" else 0


def _inner(kind: str, rest: str) -> str:
    if kind == "attentions":
        return rest
    layer, parameter = rest.rsplit(".", 1)
    return f"{_UNET_RESNET[layer]}.{parameter}"


def _vae_name(name: str, up_blocks: int) -> str:
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = re.sub(r"mid_block\.resnets\.(\d+)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d+)\.resnets", lambda found: f"up.{up_blocks - 1 - int(found[1])}.block", name
    )
    name = re.sub(
        r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{up_blocks - 1 - int(found[1])}.upsample", name
    )
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for ours, original in _VAE_ATTENTION.items():
            name = name.replace(f".{ours}.", f".{original}.")
    return name
