"""Files of a Stable Diffusion checkpoint to networks in memory, and nothing but safetensors opened on the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def load_pipeline(location: Path, *, config: str | Path | None, dtype: torch.dtype) -> Any:
    """A diffusers pipeline, used for nothing but its components.

    Args:
        location: a diffusers folder or a .safetensors file in the original layout.
        config: for a single file, the folder or hub id of its configuration and tokenizer.
        dtype: precision of the weights.

    Raises:
        OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError: what the libraries raise for files that
            they cannot use; a model that would be loaded with random or missing values is refused with a ValueError.
    """
    from diffusers import StableDiffusionPipeline

    options: dict[str, Any] = {
        "use_safetensors": True,
        "dtype": dtype,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    if location.is_dir():
        variant = _variant(location / "unet")
        text_encoder = _load_text_encoder(location / "text_encoder", dtype=dtype)
        pipeline = StableDiffusionPipeline.from_pretrained(
            location, local_files_only=True, text_encoder=text_encoder, variant=variant, **options
        )
        _require_vocabulary(location / "tokenizer")
    else:
        # diffusers would read a .ckpt, which is a pickle.
        if location.suffix.lower() != ".safetensors":
            raise ValueError("it is neither a diffusers folder nor a .safetensors file")
        if config is not None:
            options["config"] = str(config)
        pipeline = StableDiffusionPipeline.from_single_file(str(location), **options)
        if config is not None and Path(config).is_dir():
            _require_vocabulary(Path(config) / "tokenizer")
    # What the files lack, diffusers leaves without values.
    lacking = [
        f"{component}.{name}"
        for component in ("unet", "vae", "text_encoder")
        for name, weights in getattr(pipeline, component).named_parameters()
        if weights.is_meta
    ]
    _require_all_weights(lacking)
    return pipeline


def _load_text_encoder(folder: Path, *, dtype: torch.dtype) -> Any:
    from transformers import CLIPTextModel

    # transformers would draw what the files lack at random.
    text_encoder, report = CLIPTextModel.from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        dtype=dtype,
        output_loading_info=True,
        variant=_variant(folder),
    )
    _require_all_weights([f"text_encoder.{name}" for name in report["missing_keys"]])
    return text_encoder


def _require_all_weights(lacking: Sequence[str]) -> None:
    if lacking:
        raise ValueError(f"its files lack {len(lacking)} of the model's weights, such as {min(lacking)}")


def _require_vocabulary(tokenizer: Path) -> None:
    # Without one transformers makes a tokenizer that knows no words.
    if not any((tokenizer / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise FileNotFoundError("the vocabulary of its tokenizer is missing")


def _variant(component: Path) -> str | None:
    """The name "fp16" for a component that is there only under the name of its half-precision variant."""
    names = [path.name for path in component.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name for name in names) else None
