"""The layers of a UNet between which its skip connections run, in order."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One residual layer with its attention, and what follows on it before the next."""

    resnet: Any
    attention: Any
    after: Any = None


def down_layers(unet: Any) -> list[Layer]:
    """Of a UNet2DConditionModel, in order. Each gives a skip connection, and the first convolution one before them."""
    layers: list[Layer] = []
    for block in unet.down_blocks:
        layers += _residual_layers(block)
        layers += [Layer(resnet=None, attention=None, after=each) for each in block.downsamplers or ()]
    return layers


def up_layers(unet: Any) -> list[Layer]:
    """In order. Each takes a skip connection, the last one the first of them."""
    layers: list[Layer] = []
    for block in unet.up_blocks:
        layers += _residual_layers(block)
        if block.upsamplers:
            last = layers.pop()
            [upsampler] = block.upsamplers
            layers.append(Layer(resnet=last.resnet, attention=last.attention, after=upsampler))
    return layers


def _residual_layers(block: Any) -> list[Layer]:
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return [
        Layer(resnet=resnet, attention=attention)
        for resnet, attention in zip(block.resnets, attentions, strict=True)
    ]


def skip_channels(unet: Any) -> list[int]:
    """Channels of each skip connection, from the outermost on."""
    inner = [layer.after if layer.resnet is None else layer.resnet for layer in down_layers(unet)]
    return [int(unet.conv_in.out_channels), *(int(layer.out_channels) for layer in inner)]
