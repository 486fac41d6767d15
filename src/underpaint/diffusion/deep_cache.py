"""DeepCache: the deep layers of a UNet change little from step to step, so most steps take them from an earlier one.

Ma et al., "DeepCache: Accelerating Diffusion Models for Free", arXiv:2312.00858. One step in `interval` runs the whole
UNet and keeps what goes into one of its last layers; the steps between run only the layers outside of that, from
the skip connection that is the `branch`-th from the outside. The features belong to the request, as its latents do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from underpaint.diffusion.unet_layers import Layer, down_layers, skip_channels, up_layers


@dataclass(kw_only=True, eq=False)
class DeepFeatures:
    """The deep features of one row, from its last whole pass."""

    branch: int
    """0 keeps the most: then only the UNet's first and last layer run between whole passes."""
    values: Tensor | None = None
    """(channels, height, width); None before the first whole pass."""
    due: bool = True
    """Whether the next pass is a whole one, which sets `values`; otherwise it uses them."""


def deepest_branch(unet: Any) -> int:
    """The greatest `branch` that a UNet has: its last skip connection."""
    return len(up_layers(unet)) - 1


def whole_pass(unet: Any, inputs: Mapping[str, Any], *, branch: int) -> tuple[Tensor, Tensor]:
    """The UNet as it is.

    Args:
        unet: a UNet2DConditionModel.
        inputs: by the names of its parameters.
        branch: whose features are wanted; beyond the last, those of the last.

    Returns:
        The prediction, and the deep features, (rows, channels, height, width).
    """
    branch = min(branch, deepest_branch(unet))
    kept: list[Tensor] = []
    joined_channels = skip_channels(unet)[branch]

    def keep(resnet: Any, given: tuple[Any, ...], options: dict[str, Any]) -> None:
        joined = given[0] if given else options["input_tensor"]
        kept.append(joined[:, :-joined_channels])

    resnet = up_layers(unet)[-1 - branch].resnet
    hook = resnet.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        predicted: Tensor = unet(**inputs, return_dict=False)[0]
    finally:
        hook.remove()
    return predicted, kept[0].clone()


def shallow_pass(unet: Any, inputs: Mapping[str, Any], *, branch: int, features: Tensor) -> Tensor:
    """The UNet with its deep layers left out, as their outcome is given. Parameters are those of `whole_pass`."""
    branch = min(branch, deepest_branch(unet))
    sample, timestep, prompts = inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"]
    embedded = unet.time_embedding(
        unet.get_time_embed(sample=sample, timestep=timestep), inputs["timestep_cond"]
    )
    added = inputs["added_cond_kwargs"]
    augmented = unet.get_aug_embed(emb=embedded, encoder_hidden_states=prompts, added_cond_kwargs=added)
    if augmented is not None:
        embedded = embedded + augmented
    if unet.time_embed_act is not None:
        embedded = unet.time_embed_act(embedded)
    prompts = unet.process_encoder_hidden_states(encoder_hidden_states=prompts, added_cond_kwargs=added)

    hidden = unet.conv_in(sample)
    skips = [hidden]
    for layer in down_layers(unet)[:branch]:
        hidden = _run(layer, hidden, embedded, prompts)
        skips.append(hidden)
    if (added := inputs.get("down_block_additional_residuals")) is not None:
        # Of ControlNets. What goes down is without them, as in a whole pass.
        skips = [skip + residual for skip, residual in zip(skips, added[: len(skips)], strict=True)]
    # Laid out as a whole pass does it, also where they have been on the disk: sums depend on it.
    hidden = features.contiguous(memory_format=torch.channels_last)
    for layer in up_layers(unet)[-1 - branch :]:
        skip = skips.pop()
        hidden = _run(layer, torch.cat([hidden, skip], dim=1), embedded, prompts)
        if layer.after is not None:
            # An upsampler goes to the size of the next skip connection, which need not be twice its own.
            hidden = layer.after(hidden, skips[-1].shape[2:])
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    predicted: Tensor = unet.conv_out(hidden)
    return predicted


def _run(layer: Layer, hidden: Tensor, embedded: Tensor, prompts: Tensor) -> Tensor:
    """One layer; a downsampler has neither embedding nor attention."""
    if layer.resnet is None:
        reduced: Tensor = layer.after(hidden)
        return reduced
    hidden = layer.resnet(hidden, embedded)
    if layer.attention is not None:
        hidden = layer.attention(hidden, encoder_hidden_states=prompts, return_dict=False)[0]
    return hidden
