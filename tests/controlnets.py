"""ControlNets with random weights, in the layouts in which they are published."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor


def make_controlnet(unet: Any, *, seed: int = 0, strength: float = 0.3, **options: Any) -> Any:
    """One of diffusers' for a UNet of diffusers', which changes much of what that makes.

    Args:
        unet: that it is for.
        seed: for other weights.
        strength: of what it adds.
        options: of its configuration.
    """
    from diffusers import ControlNetModel

    config = dict(ControlNetModel.from_unet(unet, load_weights_from_unet=False).config)
    config["in_channels"] = unet.config.out_channels
    network = ControlNetModel.from_config({**config, **options})
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            drawn = torch.randn(weights.shape, generator=dice)
            fan_in = weights[0].numel() if weights.ndim > 1 else 1
            if name.startswith(("controlnet_down_blocks", "controlnet_mid_block")):
                weights.copy_(drawn * strength / fan_in**0.5)
            elif weights.ndim > 1:
                # The maps, small numbers, pass through eight layers.
                gain = 2.0 if name.startswith("controlnet_cond_embedding") else 1.0
                weights.copy_(drawn * gain / fan_in**0.5)
            elif name.endswith("bias"):
                weights.copy_(0.1 * drawn)
    return network.eval()


def write_controlnet(folder: Path, unet: Any, **options: Any) -> Path:
    """A folder as diffusers writes it."""
    from underpaint.diffusion.quiet import quiet_libraries

    with quiet_libraries():
        make_controlnet(unet, **options).save_pretrained(folder)
    return folder


def write_original_controlnet(file: Path, network: Any, *, prefix: str = "control_model.") -> Path:
    """A single file in the original layout, of one of diffusers' networks."""
    layers = network.config.layers_per_block
    tensors = {
        f"{prefix}{_original_name(name, layers)}": part.contiguous()
        for name, part in network.state_dict().items()
    }
    save_file(tensors, file)
    return file


def write_plain_controlnet(file: Path, network: Any) -> Path:
    """A single file under diffusers' names, without the configuration."""
    tensors: dict[str, Tensor] = network.state_dict()
    save_file({name: part.contiguous() for name, part in tensors.items()}, file)
    return file


_WHOLE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
    "controlnet_mid_block": "middle_block_out.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_WITHIN_RESNETS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _original_name(name: str, layers: int) -> str:
    def block(match: re.Match[str]) -> str:
        number = 1 + int(match["block"]) * (layers + 1)
        match match["kind"]:
            case "downsamplers":
                return f"input_blocks.{number + layers}.0.op."
            case "resnets":
                return f"input_blocks.{number + int(match['layer'])}.0."
            case _:
                return f"input_blocks.{number + int(match['layer'])}.1."

    is_resnet = ".resnets." in name
    for ours, theirs in _WHOLE.items():
        if name.startswith(f"{ours}."):
            name = theirs + name.removeprefix(ours)
    name = re.sub(
        r"^down_blocks\.(?P<block>\d+)\.(?P<kind>\w+)\.(?P<layer>\d+)\.(conv\.(?=\w+$))?", block, name
    )
    name = re.sub(
        r"^controlnet_cond_embedding\.blocks\.(\d+)\.",
        lambda match: f"input_hint_block.{2 * int(match[1]) + 2}.",
        name,
    )
    name = re.sub(r"^controlnet_down_blocks\.(\d+)\.", r"zero_convs.\1.0.", name)
    if is_resnet:
        for ours, theirs in _WITHIN_RESNETS.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
    return name
