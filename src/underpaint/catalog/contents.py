"""What a file of weights is, told from the names and shapes of its tensors.

The names are those of the layouts in which checkpoints are published: the CompVis/Stability one for Stable
Diffusion and SDXL, Black Forest Labs' for FLUX, Stability's for SD3, kohya's and diffusers' for LoRA.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from underpaint.catalog.entry import Category
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import TensorSpec
from underpaint.diffusion.controlnet_names import DIFFUSERS_NAMES, FLUX_NAMES, ORIGINAL_NAMES, other_kind
from underpaint.diffusion.ip_adapter_names import is_redux

FAMILIES: tuple[frozenset[str], ...] = (
    frozenset({"sd1x", "sd1xlcm", "sdhyper"}),
    frozenset({"sd2x"}),
    frozenset(
        {
            "sdxl",
            "sdxllcm",
            "sdxldistilled",
            "sdxlhyper",
            "sdxllightning",
            "sdxlturbo",
            "pony",
            "illustrious",
            "noobai",
        }
    ),
    frozenset({"sd3"}),
    frozenset({"flux1d", "fluxkontextdev", "flex_1_alpha"}),
    frozenset({"flux1s"}),
    frozenset({"flux2"}),
    frozenset({"hidreamfull", "hidreamdev", "hidreamfast"}),
    frozenset({"qwen_image"}),
    frozenset({"qwen_image_edit"}),
    frozenset({"z-image", "z-image-turbo"}),
)
"""Architectures whose weights have the same names and shapes, so that a header cannot tell them apart."""

_BY_TEXT_WIDTH = {768: "sd1x", 1024: "sd2x", 2048: "sdxl", 1280: "sdxl"}
"""Width of the text conditioning; 1280 is the SDXL refiner's."""

_FLUX = ("flux1d", "flux1s", "flux2")
_FLUX_1 = frozenset({"flux1d", "flux1s", "fluxkontextdev", "flex_1_alpha"})
"""Architectures with the same layers: schnell only lacks those that take the guidance scale."""
_UNET = "model.diffusion_model."
_REFINERS_TEXT = "conditioner.embedders.0.model."
"""The refiner has the second text encoder of SDXL alone, in the place of the first."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What was recognized; None where the tensors do not say."""

    category: Category | None = None
    architecture: str | None = None
    type: str | None = None


def same_family(one: str, other: str) -> bool:
    """Whether weights of one architecture could be weights of the other."""
    return one == other or any(one in family and other in family for family in FAMILIES)


def acts_upon(addition: str, checkpoint: str) -> bool:
    """Whether what was made for one architecture, such as a LoRA, can act upon checkpoints of another."""
    return same_family(addition, checkpoint) or {addition, checkpoint} <= _FLUX_1


def is_recognizable(architecture: str) -> bool:
    """Whether `contents_of` knows checkpoints of this architecture when it sees one."""
    return any(same_family(architecture, name) for name in (*_BY_TEXT_WIDTH.values(), "sd3", *_FLUX))


def contents_of(tensors: Mapping[str, TensorSpec]) -> Contents:
    """What a single file holds.

    Raises:
        ModelRefused: it is recognized as something that cannot be used: a checkpoint without its text encoder
            or autoencoder, a UNet alone, or one with an unusual number of input channels; or a kind of ControlNet that
            is none.
    """
    if _any_part(
        tensors,
        ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up", "lora1.down", "lora2.down"),
    ):
        return Contents(
            category="lora", architecture=_architecture_by_width(tensors) or _flux_addition(tensors)
        )
    if _any_start(tensors, ("ip_adapter.", "image_proj.")):
        return Contents(category="ipadapter", architecture=_architecture_of_adapter(tensors))
    if is_redux(tensors):
        return Contents(category="ipadapter", architecture="flux1d")
    if (kind := other_kind(tensors)) is not None:
        raise ModelRefused(f"it holds {kind}, which this version cannot use")
    if _any_start(tensors, (*ORIGINAL_NAMES, *DIFFUSERS_NAMES, *FLUX_NAMES)):
        return Contents(
            category="controlnet", architecture=_architecture_by_width(tensors) or _flux_addition(tensors)
        )
    embedding = _embedding(tensors)
    if embedding is not None:
        return embedding
    transformer = _transformer(tensors)
    if transformer is not None:
        return transformer
    if _any_start(tensors, (_UNET,)):
        return _stable_diffusion(tensors)
    if "encoder.conv_in.weight" in tensors and "decoder.conv_in.weight" in tensors:
        return Contents(category="vae")
    if _any_start(tensors, ("down_blocks.",)) and "conv_in.weight" in tensors:
        raise ModelRefused("the file holds a UNet alone; a whole checkpoint or a diffusers folder is needed")
    return Contents()


def unet_type(in_channels: int, latent_channels: int) -> str:
    """Base or inpainting, from the number of channels that a UNet takes.

    Inpainting UNets take the latents, the masked picture's latents and the mask (Rombach et al.,
    arXiv:2112.10752).

    Raises:
        ModelRefused: the number is neither.
    """
    if in_channels == latent_channels:
        return "base"
    if in_channels == 2 * latent_channels + 1:
        return "inpainting"
    raise ModelRefused(
        f"the UNet takes {in_channels} channels: neither a base model ({latent_channels}) nor an inpainting "
        f"model ({2 * latent_channels + 1})"
    )


def _stable_diffusion(tensors: Mapping[str, TensorSpec]) -> Contents:
    architecture = _architecture_by_width(tensors)
    if architecture is None:
        if _any_start(tensors, ("conditioner.embedders.",)):
            architecture = "sdxl"
        elif _any_start(tensors, ("cond_stage_model.model.",)):
            architecture = "sd2x"
        elif _any_start(tensors, ("cond_stage_model.",)):
            architecture = "sd1x"
    missing = [
        part
        for part, starts in (
            ("autoencoder", ("first_stage_model.",)),
            ("text encoder", ("cond_stage_model.", "conditioner.embedders.")),
        )
        if not _any_start(tensors, starts)
    ]
    if missing:
        raise ModelRefused(f"the checkpoint has no {' and no '.join(missing)}; a complete one is needed")
    entry, exit_ = tensors.get(f"{_UNET}input_blocks.0.0.weight"), tensors.get(f"{_UNET}out.2.weight")
    if entry is None or exit_ is None or len(entry.shape) != 4 or len(exit_.shape) != 4:
        raise ModelRefused("the checkpoint's UNet lacks its first or last layer")
    kind = unet_type(entry.shape[1], exit_.shape[0])
    if architecture == "sdxl" and _any_start(tensors, (_REFINERS_TEXT,)):
        kind = "refiner"
    return Contents(category="checkpoint", architecture=architecture, type=kind)


def _transformer(tensors: Mapping[str, TensorSpec]) -> Contents | None:
    names = {name.removeprefix(_UNET) for name in tensors}
    if any(name.startswith("joint_blocks.") for name in names):
        return Contents(category="checkpoint", architecture="sd3", type="base")
    if not any(name.startswith("double_blocks.") for name in names):
        return None
    if any(name.startswith("double_stream_modulation_img.") for name in names):
        return Contents(category="checkpoint", architecture="flux2", type="base")
    if any(name.startswith("distilled_guidance_layer.") for name in names):
        return Contents(category="checkpoint", architecture="chroma")
    guided = any(name.startswith("guidance_in.") for name in names)
    into = tensors.get("img_in.weight") or tensors.get(f"{_UNET}img_in.weight")
    # FLUX packs 16 latent channels into patches of 2x2, hence 64; Fill adds the masked picture (64) and the
    # mask (256).
    # Canny and Depth add the map (64).
    channels = into.shape[1] if into is not None and len(into.shape) == 2 else 64
    return Contents(
        category="checkpoint",
        architecture="flux1d" if guided else "flux1s",
        type={384: "inpainting", 128: "control"}.get(channels, "base"),
    )


def _embedding(tensors: Mapping[str, TensorSpec]) -> Contents | None:
    """Textual inversion: a few vectors as wide as the text encoder."""
    if not tensors:
        return None
    if not set(tensors) <= {"emb_params", "clip_l", "clip_g"} and not _is_one_word(tensors):
        return None
    if "clip_g" in tensors:
        return Contents(category="embeddings", architecture="sdxl")
    shape = next(iter(tensors.values())).shape
    return Contents(category="embeddings", architecture=_BY_TEXT_WIDTH.get(shape[-1]) if shape else None)


def _is_one_word(tensors: Mapping[str, TensorSpec]) -> bool:
    """Whether there is one tensor under the name of a word, as diffusers writes them: `<cat-toy>`, and also without
    the brackets.
    """
    if len(tensors) != 1:
        return False
    [(name, spec)] = tensors.items()
    a_few_vectors = 1 <= len(spec.shape) <= 2 and spec.shape[-1] in _BY_TEXT_WIDTH
    return name.startswith("<") or (a_few_vectors and "." not in name)


def _architecture_by_width(tensors: Mapping[str, TensorSpec]) -> str | None:
    return next((_BY_TEXT_WIDTH[width] for width in _text_widths(tensors) if width in _BY_TEXT_WIDTH), None)


def _text_widths(tensors: Mapping[str, TensorSpec]) -> Iterator[int]:
    """Width of the text that each cross-attention reads, whatever else is in the file."""
    for name, spec in tensors.items():
        if (
            "attn2" in name
            and "to_k" in name
            and len(spec.shape) == 2
            and "up" not in name.rsplit("to_k", 1)[1]
        ):
            yield spec.shape[1]


def _architecture_of_adapter(tensors: Mapping[str, TensorSpec]) -> str | None:
    """By the width of the tokens that an IP-Adapter gives to the cross-attentions."""
    widths = {
        spec.shape[1]
        for name, spec in tensors.items()
        if name.endswith(".to_k_ip.weight") and len(spec.shape) == 2
    }
    return _BY_TEXT_WIDTH.get(widths.pop()) if len(widths) == 1 else None


def _flux_addition(tensors: Mapping[str, TensorSpec]) -> str | None:
    return "flux1d" if _any_part(tensors, ("double_blocks", "single_transformer_blocks")) else None


def _any_start(names: Iterable[str], starts: tuple[str, ...]) -> bool:
    return any(name.startswith(starts) for name in names)


def _any_part(names: Iterable[str], parts: tuple[str, ...]) -> bool:
    return any(part in name for name in names for part in parts)
