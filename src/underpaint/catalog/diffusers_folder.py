"""A model in the diffusers folder layout: is it complete and safe, and what is it?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from underpaint.catalog.contents import Contents, unet_type
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import read_header

MAX_JSON_BYTES = 16 * 2**20

_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"})
_NOT_NEEDED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
_WITHOUT_WEIGHTS = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "FeatureExtractor")

_ARCHITECTURES = (
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion3", "sd3"),
    ("FluxKontext", "fluxkontextdev"),
    ("Flux2", "flux2"),
    ("QwenImageEdit", "qwen_image_edit"),
    ("QwenImage", "qwen_image"),
    ("HiDreamImage", "hidreamfull"),
    ("ZImage", "z-image"),
)
"""Architectures by how the name of the pipeline class begins; the first that fits counts."""

_FLUX_TYPES = (("FluxFill", "inpainting"), ("FluxControlNet", "base"), ("FluxControl", "control"))
"""Types of FLUX checkpoints, likewise."""

_STABLE_DIFFUSION = frozenset(
    {
        "StableDiffusionPipeline",
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
        "LatentConsistencyModelPipeline",
        "LatentConsistencyModelImg2ImgPipeline",
    }
)


def inspect_folder(folder: Path) -> Contents:
    """Check a folder and say what it holds. Opens JSON files and the headers of weights, and no pickle ever.

    Raises:
        ModelRefused: `model_index.json` or a component is missing or damaged, or a component's weights are
            not in complete safetensors files.
    """
    if not (folder / "model_index.json").is_file():
        raise ModelRefused(f"{folder} is not a model in the diffusers layout: it has no model_index.json")
    index = read_json(folder / "model_index.json")
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise ModelRefused(f"{folder / 'model_index.json'} names no pipeline class")
    components = _components(index, folder)
    for name, class_name in components.items():
        if name not in _NOT_NEEDED and not class_name.endswith(_WITHOUT_WEIGHTS):
            check_weights(folder / name)
    return _contents(folder, pipeline, components)


def _components(index: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Each component that the pipeline has, with its class."""
    components = {}
    for name, value in index.items():
        match value:
            case [str(), str(class_name)]:
                if not name.isidentifier():
                    raise ModelRefused(
                        f"{folder / 'model_index.json'} has a component with the odd name {name[:80]!r}"
                    )
                components[name] = class_name
    return components


def check_weights(component: Path) -> None:
    """Refuse a folder whose weights are not in complete safetensors files. Raises `ModelRefused`."""
    if not component.is_dir():
        raise ModelRefused(f"the component {component} is missing")
    files = sorted(path for path in component.iterdir() if path.is_file())
    weights = [path for path in files if path.suffix == ".safetensors"]
    for shard_index in (
        path for path in files if ".safetensors.index" in path.name and path.suffix == ".json"
    ):
        present = {path.name for path in weights}
        weight_map = read_json(shard_index).get("weight_map")
        shards = set(map(str, weight_map.values())) if isinstance(weight_map, dict) else {"weight_map"}
        if not shards <= present:
            raise ModelRefused(f"{component} is incomplete: {min(shards - present)} is missing")
    if not weights:
        if any(path.suffix.lower() in _PICKLES for path in files):
            raise ModelRefused(
                f"{component} has its weights as a pickle only, which can run code when it is opened; get "
                "them as safetensors, or convert them"
            )
        raise ModelRefused(f"{component} has no .safetensors file")
    for path in weights:
        read_header(path)


def _contents(folder: Path, pipeline: str, components: Mapping[str, str]) -> Contents:
    if pipeline in _STABLE_DIFFUSION:
        unet, vae = read_json(folder / "unet" / "config.json"), read_json(folder / "vae" / "config.json")
        widths = unet.get("cross_attention_dim")
        width = widths[0] if isinstance(widths, list) and widths else widths
        in_channels, latent_channels = unet.get("in_channels"), vae.get("latent_channels", 4)
        if not isinstance(in_channels, int) or not isinstance(latent_channels, int):
            raise ModelRefused(f"{folder} does not say how many channels its UNet or autoencoder has")
        return Contents(
            category="checkpoint",
            architecture="sd2x" if width == 1024 else "sd1x",
            type=unet_type(in_channels, latent_channels),
        )
    architecture = next((name for start, name in _ARCHITECTURES if pipeline.startswith(start)), None)
    kind = "base"
    if architecture == "sdxl" and "text_encoder" not in components and "text_encoder_2" in components:
        kind = "refiner"
    elif architecture == "sdxl":
        unet = read_json(folder / "unet" / "config.json")
        kind = "inpainting" if unet.get("in_channels") == 9 else "base"
    elif architecture is None and pipeline.startswith("Flux"):
        guided = read_json(folder / "transformer" / "config.json").get("guidance_embeds") is True
        architecture = "flux1d" if guided else "flux1s"
        kind = next((name for start, name in _FLUX_TYPES if pipeline.startswith(start)), "base")
    return Contents(category="checkpoint", architecture=architecture, type=kind if architecture else None)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises `ModelRefused` for anything else."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelRefused(f"{path} is too large")
        content = json.loads(path.read_bytes())
    except OSError as failure:
        raise ModelRefused(f"{path} cannot be read: {failure.strerror}") from None
    except (ValueError, RecursionError):
        raise ModelRefused(f"{path} is not JSON") from None
    if not isinstance(content, dict):
        raise ModelRefused(f"{path} is not a JSON object")
    return content
