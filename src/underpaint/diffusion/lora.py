"""LoRA: low-rank additions to the layers of a network (Hu et al., arXiv:2106.09685), beside its weights, not in them.

So a model is never changed, and every row of a forward pass can have additions of its own, or none.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.lora_names import other_method
from underpaint.diffusion.placement import device_of
from underpaint.diffusion.quiet import quiet_libraries


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRank:
    """What is added to one layer: `up` after `down`, with the scale of the file within `up`."""

    down: Tensor
    """(rank, in), or (rank, in, height, width) for a convolution."""
    up: Tensor
    """(out, rank), or (out, rank, 1, 1)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """A LoRA for the networks of one model. Equal only to itself."""

    name: str
    """The path of its file: names alone are often the same."""
    layers: Mapping[str, Mapping[str, LowRank]]
    """By network, such as "unet", then by the layer's name within it."""

    def touches_any(self, networks: Sequence[str]) -> bool:
        """Whether it adds to one of these networks."""
        return any(self.layers.get(network) for network in networks)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(
            layer.down.nbytes + layer.up.nbytes
            for layers in self.layers.values()
            for layer in layers.values()
        )


Loras = Sequence[tuple[Lora, float]]
"""Those of one request, each with its weight."""


@runtime_checkable
class TakesLoras(Protocol):
    """A family whose models take LoRAs. `Row.loras` says which a row has."""

    text_networks: Sequence[str]
    """Names of the text encoders, within `Lora.layers`."""

    def load_lora(self, location: Path) -> Lora:
        """Read a safetensors file.

        Raises:
            ModelLoadError: the file is damaged, or for another architecture, or of another method.
        """
        ...

    def with_loras(self, loras: Loras) -> AbstractContextManager[None]:
        """A context within which prompts are encoded with these."""
        ...


def load_lora(location: Path, networks: Mapping[str, nn.Module]) -> Lora:
    """Read a LoRA in kohya's layout, diffusers' or peft's.

    Args:
        location: a safetensors file.
        networks: those of the model, by diffusers' names: the "unet", and the text encoders.

    Raises:
        ModelLoadError: the file is damaged, or for another architecture, or of another method.
    """
    try:
        with quiet_libraries():
            tensors = _converted(*read_tensors(location), networks["unet"])
            layers = {name: _layers(tensors, name, network) for name, network in networks.items()}
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, AttributeError) as failure:
        raise ModelLoadError(
            f"{location.name} cannot be used as a LoRA of this model: {failure}"
        ) from failure
    if tensors:
        raise ModelLoadError(
            f"{location.name} cannot be used as a LoRA of this model: there is no layer for {min(tensors)}"
        )
    if not any(layers.values()):
        raise ModelLoadError(f"{location.name} adds nothing to this model")
    return Lora(name=str(location), layers=layers)


@contextmanager
def adapted(network: nn.Module, name: str, rows: Sequence[Loras]) -> Iterator[None]:
    """Within this context a network adds to each row what its LoRAs say.

    Args:
        network: called with batches whose first dimension is the rows; or with any, where there is one row.
        name: of the network, within `Lora.layers`.
        rows: the LoRAs of each row.
    """
    weights: dict[Lora, Tensor] = {}
    for position, loras in enumerate(rows):
        for lora, weight in loras:
            if lora.layers.get(name):
                weights.setdefault(lora, torch.zeros(len(rows)))[position] += weight
    branches: dict[str, list[tuple[LowRank, Tensor]]] = {}
    # In the order of their names, so that sums are rounded alike whoever shares the pass.
    for lora in sorted(weights, key=lambda lora: lora.name):
        for layer_name, layer in lora.layers[name].items():
            branches.setdefault(layer_name, []).append(
                (layer, weights[lora].to(layer.down.device, layer.down.dtype))
            )
    with ExitStack() as stack:
        for layer_name, of_layer in branches.items():
            hook = network.get_submodule(layer_name).register_forward_hook(_adding(of_layer))
            stack.callback(hook.remove)
        yield


def _adding(branches: Sequence[tuple[LowRank, Tensor]]) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def add(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for layer, weights in branches:
            output = output + _product(module, layer, arguments[0], weights)
        return output

    return add


def _product(module: nn.Module, layer: LowRank, given: Tensor, weights: Tensor) -> Tensor:
    if isinstance(module, nn.Conv2d):
        small = nn.functional.conv2d(
            given, layer.down, stride=module.stride, padding=module.padding, dilation=module.dilation
        )
    else:
        small = nn.functional.linear(given, layer.down)
    by_row = weights.view(-1, *[1] * (small.dim() - 1))
    # All rows at once, so that a row is rounded alike whoever shares the pass; and a row without this LoRA gets zeros,
    # even where the product overflows.
    small = torch.where(by_row != 0.0, small * by_row, torch.zeros_like(small))
    if isinstance(module, nn.Conv2d):
        return nn.functional.conv2d(small, layer.up)
    return nn.functional.linear(small, layer.up)


def read_tensors(location: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """The tensors of a safetensors file, and what it says of them. Raises `OSError` and `ValueError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(location, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except SafetensorError as failure:
        raise ValueError(str(failure)) from failure


def _converted(tensors: dict[str, Tensor], metadata: Mapping[str, str], unet: Any) -> dict[str, Tensor]:
    """The tensors under diffusers' names, with the scale of each layer within its upper half."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin

    if method := other_method(tensors):
        raise ValueError(f"it is no plain LoRA, but {method}")
    scale_by_alpha(tensors)
    converted, _ = StableDiffusionLoraLoaderMixin.lora_state_dict(tensors, unet_config=unet.config)
    described = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    return scaled_as_described(converted, described) if described else dict(converted)


def scale_by_alpha(tensors: dict[str, Tensor]) -> None:
    """Bring kohya's `alpha`, which counts by the rank, into the upper halves."""
    for name in [name for name in tensors if name.endswith(".alpha")]:
        layer = name.removesuffix(".alpha")
        alpha = tensors.pop(name).float().item()
        up = next((layer + end for end in _UPPER if layer + end in tensors), None)
        if up is None:
            raise ValueError(f"{name} belongs to no layer")
        tensors[up] = tensors[up].float() * (alpha / tensors[up].shape[1])


def scaled_as_described(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> dict[str, Tensor]:
    """Bring into the upper halves what peft's configuration in the file says of the scale."""
    scaled = dict(tensors)
    for name, weights in tensors.items():
        if not name.endswith(_UPPER):
            continue
        network, _, layer = name.partition(".")
        alpha = described.get(f"{network}.lora_alpha")
        for pattern, of_layer in (described.get(f"{network}.alpha_pattern") or {}).items():
            # As peft finds them.
            if re.match(rf"(.*\.)?({pattern})$", layer[: layer.index(".lora")]):
                alpha = of_layer
                break
        if alpha is None:
            continue
        rank = weights.shape[1]
        divisor = rank**0.5 if described.get(f"{network}.use_rslora") else rank
        scaled[name] = weights.float() * (float(alpha) / divisor)
    return scaled


_UPPER = (".lora_up.weight", ".lora_B.weight", ".lora.up.weight", "_lora.up.weight", ".up.weight")


def _layers(tensors: dict[str, Tensor], name: str, network: nn.Module) -> dict[str, LowRank]:
    """Take a network's layers out of the tensors."""
    own = {key: tensors.pop(key) for key in list(tensors) if key.startswith(f"{name}.")}
    halves = _as_peft_names({key.removeprefix(f"{name}."): part for key, part in own.items()}, network)
    layers = {}
    for key in list(halves):
        if key.endswith(".lora_A.weight"):
            layer = key.removesuffix(".lora_A.weight")
            layers[layer] = fitted(
                layer, network.get_submodule(layer), halves.pop(key), halves.pop(f"{layer}.lora_B.weight")
            )
    if halves:
        raise ValueError(f"{min(halves)} belongs to no layer")
    return layers


def _as_peft_names(tensors: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    from diffusers.utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    if not tensors:
        return {}
    if not hasattr(network, "text_model") and not hasattr(network, "encoder"):
        if all("lora_A" in key or "lora_B" in key for key in tensors):
            return tensors
        renamed: dict[str, Tensor] = convert_unet_state_dict_to_peft(tensors)
        return renamed
    renamed = convert_state_dict_to_peft(convert_state_dict_to_diffusers(tensors))
    # transformers 5 has the encoder of a CLIPTextModel one level higher than the files.
    if not hasattr(network, "text_model"):
        renamed = {key.removeprefix("text_model."): part for key, part in renamed.items()}
    return renamed


def fitted(name: str, module: nn.Module, down: Tensor, up: Tensor) -> LowRank:
    """Both halves in the precision and on the device of their layer.

    Raises:
        ValueError: they do not fit it.
    """
    if isinstance(module, nn.Conv2d):
        down, up = (half[..., None, None] if half.dim() == 2 else half for half in (down, up))
        shapes: tuple[tuple[int, ...], tuple[int, ...]] = (
            (down.shape[0], module.in_channels, *module.kernel_size),
            (module.out_channels, down.shape[0], 1, 1),
        )
    elif isinstance(module, nn.Linear):
        down, up = (half.flatten(1) for half in (down, up))
        shapes = ((down.shape[0], module.in_features), (module.out_features, down.shape[0]))
    else:
        raise ValueError(f"{name} is no layer that takes one")
    if (tuple(down.shape), tuple(up.shape)) != shapes:
        found = " and ".join("x".join(map(str, half.shape)) for half in (down, up))
        raise ValueError(f"{name} has another shape there ({found})")
    down, up = (half.to(device_of(module), module.weight.dtype) for half in (down, up))
    if not bool(torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise ValueError(f"{name} has values that are not numbers in {module.weight.dtype}")
    return LowRank(down=down, up=up)
