"""ControlNets: maps of edges, depth or poses that say where things are (Zhang et al., arXiv:2302.05543).

A ControlNet is a second copy of the first half of a UNet, which sees the map beside the latents. What it makes of them
is added to the UNet's skip connections and to its middle. The UNet itself is never changed, and every row of a forward
pass can have ControlNets of its own, or none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from underpaint.diffusion.controlnet_files import (
    diffusers_names,
    is_in_original_names,
    own_config,
    read_weights,
)
from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.loading import loading
from underpaint.diffusion.unet_layers import skip_channels

ControlMode = Literal["prompt", "controlnet", "balanced"]
"""What counts for more: the prompt, the map, or neither."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ControlNet:
    """A ControlNet for the UNets of one architecture. Equal only to itself."""

    name: str
    """The path of its files."""
    network: Any
    """diffusers' `ControlNetModel`."""
    pools: bool
    """Whether it says the same everywhere, as that for shuffled pictures does: the means of what it adds."""

    @property
    def pixels_per_latent(self) -> int:
        """Pixels of a map, along each side, for a latent."""
        return int(2 ** (len(self.network.config.conditioning_embedding_out_channels) - 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """A ControlNet and what it tells the rows of one request."""

    controlnet: ControlNet
    map: Tensor
    """(3, height, width) in pixels, from 0 to 1, on the model's device and in its precision."""
    weight: float
    mode: ControlMode = "balanced"
    fills_pass: bool = False
    """Whether the network is run on as many rows as the pass has, whoever has need of it. On strict determinism: the
    sums of a row are only the same in batches of the same size."""

    def acts_on(self, *, negative: bool) -> bool:
        """Whether it adds to the prompt's rows, or to those of the negative prompt."""
        if not self.weight:
            return False
        return not negative or not (self.mode == "controlnet" or self.controlnet.pools)

    def scales(self, layers: int) -> Tensor:
        """What the additions to each of the layers are multiplied with, from the outermost one to the middle, which
        counts as the last.

        Beside the mode "balanced" they grow evenly from a tenth to the whole weight: Zhang's guess mode, as diffusers
        has it. For the 13 layers of Stable Diffusion these are the powers of 0.825 of the ControlNet extension.
        """
        if self.mode == "balanced" or self.controlnet.pools:
            return torch.full((layers,), self.weight)
        return self.weight * torch.logspace(-1, 0, layers)


Controls = Sequence[Control]
"""Those of one row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """What is added to a UNet, for every row of a pass; zeros for those without ControlNets."""

    down: Sequence[Tensor]
    """To its skip connections, from the outermost on, each (rows, channels, height, width)."""
    mid: Tensor
    """To its middle."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The same, by the names of the UNet's parameters."""
        return {
            "down_block_additional_residuals": tuple(self.down),
            "mid_block_additional_residual": self.mid,
        }


@runtime_checkable
class TakesControls(Protocol):
    """A family whose models take ControlNets. `Row.controls` says which a row has."""

    def load_controlnet(self, location: Path, *, pools: bool) -> ControlNet:
        """Read a diffusers folder or a safetensors file.

        Args:
            location: the folder or file.
            pools: whether it is one that says the same everywhere, where its files do not say so.

        Raises:
            ModelLoadError: the files are damaged, or of a ControlNet for another architecture.
        """
        ...

    def control_map(self, picture: Picture) -> Tensor:
        """A picture, height x width x 3, as the ControlNets of the family are shown it."""
        ...

    def require_fitting(self, controlnet: ControlNet) -> None:
        """Refuse a ControlNet that was loaded for another model, and does not go with this one.

        Raises:
            ModelLoadError: it does not.
        """
        ...


def load_controlnet(location: Path, unet: Any, *, pools: bool = False) -> ControlNet:
    """Read a ControlNet in one of the layouts in which they are published.

    Args:
        location: a diffusers folder, or a safetensors file with diffusers' names or the original ones. Without a
            `config.json` beside its weights it is taken to be made for UNets like this one.
        unet: that it is to act upon, a diffusers `UNet2DConditionModel`.
        pools: whether it says the same everywhere, where its files do not say so.

    Raises:
        ModelLoadError: the files are damaged, or of another network.
    """
    with loading(location):
        from diffusers import ControlNetModel

        config = own_config(location)
        if config is None:
            config = _config_like(unet)
        pools = bool(config.get("global_pool_conditions")) or pools
        with torch.device("meta"):
            # What it adds is pooled here, where rows that share a pass have unlike weights.
            network: Any = ControlNetModel.from_config({**config, "global_pool_conditions": False})
        tensors = read_weights(location)
        if is_in_original_names(tensors):
            tensors = diffusers_names(tensors, network.config)
        _require_shapes({name: part.shape for name, part in tensors.items()}, network)
        network.load_state_dict(tensors, assign=True)
        network = network.to(unet.device, unet.dtype).to(memory_format=torch.channels_last).eval()
    return ControlNet(name=str(location), network=network, pools=pools)


def require_fitting(controlnet: ControlNet, unet: Any, *, pixels_per_latent: int) -> None:
    """Refuse a ControlNet that does not go with a UNet.

    Raises:
        ModelLoadError: it was made for another one.
    """
    reason = _misfit(controlnet.network, unet) or _wrong_scale(controlnet, pixels_per_latent)
    if reason:
        name = Path(controlnet.name).name
        raise ModelLoadError(f"{name} cannot be used as a ControlNet of this model: {reason}")


@torch.inference_mode()
def residuals(
    rows: Sequence[Controls], *, negative: Sequence[bool], inputs: Mapping[str, Any]
) -> Residuals | None:
    """What the ControlNets of a pass add to its UNet; each network runs once over all rows that have it.

    Args:
        rows: the ControlNets of each row.
        negative: whether each row is one of a negative prompt.
        inputs: of the UNet for all rows, by the names of its parameters.

    Returns:
        None if no ControlNet acts on any of the rows.
    """
    total: list[Tensor] | None = None
    for controlnet, controls in _branches(rows, negative):
        positions = [*controls]
        if next(iter(controls.values())).fills_pass:
            positions += [positions[-1]] * (len(rows) - len(positions))
        made = _run(controlnet, positions, controls, inputs)
        if total is None:
            total = [
                part.new_zeros((len(rows), *part.shape[1:])).to(memory_format=torch.channels_last)
                for part in made
            ]
        for whole, part in zip(total, made, strict=True):
            whole[[*controls]] += part[: len(controls)]
    return None if total is None else Residuals(down=total[:-1], mid=total[-1])


def _branches(
    rows: Sequence[Controls], negative: Sequence[bool]
) -> list[tuple[ControlNet, dict[int, Control]]]:
    """Each network with the rows that it runs over at once."""
    members: dict[tuple[ControlNet, int], dict[int, Control]] = {}
    for position, (controls, is_negative) in enumerate(zip(rows, negative, strict=True)):
        for control in controls:
            if not control.acts_on(negative=is_negative):
                continue
            # A network may be there several times, with other maps.
            turn = 0
            while position in members.get((control.controlnet, turn), {}):
                turn += 1
            members.setdefault((control.controlnet, turn), {})[position] = control
    # In the order of their names, so that sums are rounded alike whoever shares the pass.
    return [(key[0], members[key]) for key in sorted(members, key=lambda key: (key[0].name, key[1]))]


def _run(
    controlnet: ControlNet,
    positions: Sequence[int],
    controls: Mapping[int, Control],
    inputs: Mapping[str, Any],
) -> list[Tensor]:
    """What one network makes of some rows: additions to the skip connections, and to the middle as the last."""
    network, index = controlnet.network, [*positions]
    maps = torch.stack([controls[position].map for position in positions])
    added = inputs.get("added_cond_kwargs")
    down, mid = network(
        # Without what an inpainting model has beside its latents.
        sample=inputs["sample"][index, : network.config.in_channels].contiguous(
            memory_format=torch.channels_last
        ),
        timestep=inputs["timestep"][index],
        encoder_hidden_states=inputs["encoder_hidden_states"][index],
        controlnet_cond=maps.contiguous(memory_format=torch.channels_last),
        added_cond_kwargs=None if added is None else {name: part[index] for name, part in added.items()},
        return_dict=False,
    )
    made = [*down, mid]
    scales = torch.stack([controls[position].scales(len(made)) for position in positions])
    scales = scales.to(mid.device, mid.dtype)
    if controlnet.pools:
        made = [part.mean(dim=(2, 3), keepdim=True).expand_as(part) for part in made]
    return [part * scales[:, number, None, None, None] for number, part in enumerate(made)]


def _config_like(unet: Any) -> dict[str, Any]:
    """Of a ControlNet for UNets like this one."""
    from diffusers import ControlNetModel

    with torch.device("meta"):
        config = dict(ControlNetModel.from_unet(unet, load_weights_from_unet=False).config)
    # It does not see what an inpainting model has beside its latents.
    return {**config, "in_channels": unet.config.out_channels}


def _require_shapes(given: Mapping[str, Sequence[int]], network: Any) -> None:
    expected = {name: part.shape for name, part in network.state_dict().items()}
    wrong = [name for name in {*expected, *given} if given.get(name) != expected.get(name)]
    if wrong:
        raise ValueError(f"{len(wrong)} of its weights are not of the expected shape, such as {min(wrong)}")


def _misfit(network: Any, unet: Any) -> str | None:
    """Why a network does not go with a UNet."""
    made = [layer.out_channels for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block)]
    taken = [*skip_channels(unet), unet.config.block_out_channels[-1]]
    if made != taken:
        return f"it adds to layers of {json.dumps(made)} channels, and the model's have {json.dumps(taken)}"
    for name in ("cross_attention_dim", "projection_class_embeddings_input_dim"):
        own, its = getattr(network.config, name), getattr(unet.config, name)
        if own != its:
            return f"its {name} is {own}, and the model's {its}"
    own, its = network.config.in_channels, unet.config.out_channels
    if own != its:
        return f"it takes latents of {own} channels, and the model's have {its}"
    if network.config.conditioning_channels != 3:
        return f"it takes maps of {network.config.conditioning_channels} channels, and pictures have 3"
    return None


def _wrong_scale(controlnet: ControlNet, pixels_per_latent: int) -> str | None:
    if controlnet.pixels_per_latent == pixels_per_latent:
        return None
    return (
        f"it takes {controlnet.pixels_per_latent} pixels for a latent, and the model has {pixels_per_latent}"
    )
