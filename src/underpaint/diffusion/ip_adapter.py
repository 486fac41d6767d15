"""IP-Adapters: pictures as prompts (Ye et al., arXiv:2308.06721), beside a UNet's weights and not in them.

Each cross-attention of the UNet attends to the picture's tokens as well, with keys and values of the adapter's own. The
UNet itself is never changed, and every row of a forward pass can have adapters of its own, or none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, scaled_dot_product_attention

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.image_encoder import ImageEncoder
from underpaint.diffusion.layer_weights import Part, WeightType, layer_weights
from underpaint.diffusion.quiet import quiet_libraries

Combination = Literal["concat", "add", "subtract", "average", "norm_average"]
"""What becomes of several pictures."""
Scaling = Literal["kv", "only_v", "kv_penalty_c", "k_mean_v_penalty_c"]
"""What the weight acts upon; `only_v` is what diffusers does."""
PENALTY_WIDTH = 1280.0
"""Width of an attention that is not penalized."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyValue:
    """What one cross-attention makes of a picture's tokens, each (width of the attention, width of the tokens)."""

    key: Tensor
    value: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class IPAdapter:
    """An adapter for the UNet of one model. Equal only to itself."""

    name: str
    """Of its file."""
    projection: nn.Module
    """From what the image encoder makes of a picture to tokens."""
    reads_layer: bool
    """Whether it reads the encoder's last layer but one, and not the picture as a whole."""
    layers: Mapping[str, KeyValue]
    """By the names of the attentions within the UNet, in the order in which it comes to them."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        own = sum(layer.key.nbytes + layer.value.nbytes for layer in self.layers.values())
        return own + sum(weights.nbytes for weights in self.projection.parameters())

    @torch.inference_mode()
    def tokens(self, encoded: Sequence[Tensor], combination: Combination) -> Tensor:
        """(tokens, width) of what `ImageEncoder.encode` made of one or several pictures."""
        pictures = torch.stack(list(encoded))
        if combination != "concat" and len(pictures) > 1:
            pictures = combined(pictures, combination)[None]
        projected: Tensor = self.projection(pictures)
        return projected.flatten(0, 1)

    def weights(self, *, kind: WeightType, weight: float, composition: float) -> Mapping[str, float]:
        """How strongly it acts on each layer.

        Raises:
            ValueError: the kind says nothing about a UNet like this.
        """
        transformers: dict[str, Part] = {}
        for name in self.layers:
            transformer, _, _ = name.partition(".transformer_blocks.")
            transformers[transformer] = _part(name)
        spread = layer_weights([*transformers.values()], kind=kind, weight=weight, composition=composition)
        by_transformer = dict(zip(transformers, spread, strict=True))
        return {name: by_transformer[name.partition(".transformer_blocks.")[0]] for name in self.layers}


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedImagePrompt:
    """An adapter and what it tells the rows of one request."""

    adapter: IPAdapter
    tokens: Tensor
    """(tokens, width)."""
    weights: Mapping[str, float]
    """By layer."""
    scaling: Scaling


ImagePrompts = Sequence[EncodedImagePrompt]
"""Those of one row."""


@runtime_checkable
class TakesImagePrompts(Protocol):
    """A family whose models take IP-Adapters. `Row.image_prompts` says which a row has."""

    def load_ip_adapter(self, location: Path) -> IPAdapter:
        """Read a safetensors file.

        Raises:
            ModelLoadError: the file is damaged, or for another architecture.
        """
        ...

    def load_image_encoder(self, folder: Path) -> ImageEncoder:
        """Read the folder of an image encoder.

        Raises:
            ModelLoadError: the files are missing, damaged or of another network.
        """
        ...


def load_ip_adapter(location: Path, unet: Any) -> IPAdapter:
    """Read an adapter in the layout in which they are published.

    Args:
        location: a safetensors file.
        unet: of the model, a diffusers `UNet2DConditionModel`.

    Raises:
        ModelLoadError: the file is damaged, or for another architecture.
    """
    try:
        with quiet_libraries():
            parts = _read(location)
            projection = unet._convert_ip_adapter_image_proj_to_diffusers(
                parts["image_proj"], low_cpu_mem_usage=False
            )
            processors = unet._convert_ip_adapter_attn_to_diffusers([parts], low_cpu_mem_usage=False)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, AttributeError) as failure:
        said = f"it lacks {failure.args[0]}" if isinstance(failure, KeyError) else str(failure)
        raise ModelLoadError(
            f"{location.name} cannot be used as an IP-Adapter of this model: {said}"
        ) from failure
    from diffusers.models.embeddings import ImageProjection

    layers = {
        name.removesuffix(".processor"): KeyValue(
            key=processor.to_k_ip[0].weight.detach().to(unet.device, unet.dtype),
            value=processor.to_v_ip[0].weight.detach().to(unet.device, unet.dtype),
        )
        for name, processor in processors.items()
        if hasattr(processor, "to_k_ip")
    }
    if 2 * len(layers) != len(parts["ip_adapter"]):
        raise ModelLoadError(
            f"{location.name} cannot be used as an IP-Adapter of this model: it has {len(parts['ip_adapter'])} "
            f"tensors for its layers, of which there are {len(layers)}"
        )
    order = ("down", "mid", "up")
    return IPAdapter(
        name=str(location),
        projection=projection.to(unet.device, unet.dtype).eval(),
        reads_layer=not isinstance(projection, ImageProjection),
        layers={name: layers[name] for name in sorted(layers, key=lambda name: order.index(_part(name)))},
    )


@contextmanager
def prompted(unet: nn.Module, rows: Sequence[ImagePrompts]) -> Iterator[None]:
    """Within this context a UNet attends, in each row, to the pictures of its image prompts.

    Args:
        unet: called with batches whose first dimension is the rows. Additions to the layers that make its queries have
            to be there already.
        rows: the image prompts of each row.
    """
    branches = _branches(rows)
    with ExitStack() as stack:
        for name in dict.fromkeys(name for branch in branches for name in branch.adapter.layers):
            acting = [branch for branch in branches if bool(branch.weights.get(name, torch.zeros(1)).any())]
            if not acting:
                continue
            attention: Any = unet.get_submodule(name)
            attended = _Attended(name, int(attention.heads), acting)
            stack.callback(attention.to_q.register_forward_hook(attended.take_query).remove)
            stack.callback(attention.to_out[0].register_forward_pre_hook(attended.add).remove)
        yield


@dataclass(frozen=True, kw_only=True, eq=False)
class _Branch:
    """One adapter for all rows. Those that do without it weigh it with 0: every row is computed in a batch of the
    same size, whoever shares it.
    """

    adapter: IPAdapter
    scaling: Scaling
    tokens: Tensor
    """(rows, tokens, width)."""
    weights: Mapping[str, Tensor]
    """By layer, each (rows,)."""


class _Attended:
    """What a cross-attention adds for the pictures."""

    def __init__(self, name: str, heads: int, branches: Sequence[_Branch]) -> None:
        self._name = name
        self._heads = heads
        self._branches = branches
        self._query: Tensor | None = None

    def take_query(self, module: nn.Module, arguments: tuple[Any, ...], query: Tensor) -> None:
        """Keep the query that the text is attended to with."""
        self._query = query

    def add(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """To what was found in the text, (rows, positions, width)."""
        hidden_states, *others = arguments
        assert self._query is not None, "the query was made before"
        query, self._query = self._split(self._query), None
        for branch in self._branches:
            layer = branch.adapter.layers[self._name]
            weight = branch.weights[self._name][:, None, None]
            key, value = linear(branch.tokens, layer.key), linear(branch.tokens, layer.value)
            key, value, weight = _scaled(key, value, weight, branch.scaling)
            found = scaled_dot_product_attention(query, self._split(key), self._split(value))
            hidden_states = hidden_states + weight * found.transpose(1, 2).flatten(2)
        return (hidden_states, *others)

    def _split(self, states: Tensor) -> Tensor:
        """(rows, positions, width) to (rows, heads, positions, width of a head)."""
        return states.view(*states.shape[:2], self._heads, -1).transpose(1, 2)


def _scaled(key: Tensor, value: Tensor, weight: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values, and what their attention is multiplied with."""
    none = (weight != 0).to(weight.dtype)
    match scaling:
        case "only_v":
            return key, value, weight
        case "kv":
            return key * weight, value * weight, none
        case "kv_penalty_c":
            weight = weight * (key.shape[-1] / PENALTY_WIDTH)
            return key * weight, value * weight, none
        case "k_mean_v_penalty_c":
            weight = weight * (key.shape[-1] / PENALTY_WIDTH)
            mean = value.mean(dim=1, keepdim=True)
            return key * weight, (value - mean) + mean * weight, none


def _branches(rows: Sequence[ImagePrompts]) -> list[_Branch]:
    members: dict[tuple[IPAdapter, Scaling, int, int], dict[int, EncodedImagePrompt]] = {}
    for position, prompts in enumerate(rows):
        for prompt in prompts:
            # An adapter may be there several times, with other pictures.
            turn = 0
            key = (prompt.adapter, prompt.scaling, len(prompt.tokens))
            while position in members.get((*key, turn), {}):
                turn += 1
            members.setdefault((*key, turn), {})[position] = prompt

    def order(key: tuple[IPAdapter, Scaling, int, int]) -> tuple[str, str, int, int]:
        adapter, scaling, tokens, turn = key
        return adapter.name, scaling, tokens, turn

    # In the order of their names, so that sums are rounded alike whoever shares the pass.
    return [_branch(key[0], members[key], len(rows)) for key in sorted(members, key=order)]


def _branch(adapter: IPAdapter, prompts: Mapping[int, EncodedImagePrompt], rows: int) -> _Branch:
    first = next(iter(prompts.values()))
    tokens = first.tokens.new_zeros((rows, *first.tokens.shape))
    weights = {name: torch.zeros(rows) for name in adapter.layers}
    for position, prompt in prompts.items():
        tokens[position] = prompt.tokens
        for name, weight in prompt.weights.items():
            weights[name][position] = weight
    return _Branch(
        adapter=adapter,
        scaling=first.scaling,
        tokens=tokens,
        weights={name: each.to(tokens.device, tokens.dtype) for name, each in weights.items()},
    )


def combined(pictures: Tensor, combination: Combination) -> Tensor:
    """One of several, (pictures, ...) to (...), as ComfyUI_IPAdapter_plus does it; all but "concat"."""
    combine: dict[Combination, Callable[[], Tensor]] = {
        "add": lambda: pictures.sum(dim=0),
        "subtract": lambda: pictures[0] - pictures[1:].mean(dim=0),
        "average": lambda: pictures.mean(dim=0),
        "norm_average": lambda: normalize(pictures, dim=0).mean(dim=0),
    }
    return combine[combination]()


def _part(name: str) -> Part:
    return "down" if name.startswith("down") else "mid" if name.startswith("mid") else "up"


def _read(location: Path) -> dict[str, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    try:
        with safe_open(location, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                part, _, rest = name.partition(".")
                if part in parts:
                    parts[part][rest] = file.get_tensor(name)
    except SafetensorError as failure:
        raise ValueError(str(failure)) from failure
    return parts
