"""Files of a Stable Diffusion 3 checkpoint to networks in memory.

Its single files, as Stability AI publishes them, hold the transformer and the autoencoder, and either no text encoder,
the two CLIP encoders, or T5 beside them. Fine-tunes are the transformer alone, too.
"""

from pathlib import Path
from typing import Any

import torch

from underpaint.diffusion.loading import (
    PipelineLayout,
    load_pipeline,
    loading,
    require_all_weights,
    tensor_shapes,
)

LAYOUT = PipelineLayout(
    pipeline="StableDiffusion3Pipeline",
    denoiser="transformer",
    text_encoders={
        "text_encoder": "CLIPTextModelWithProjection",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "text_encoder_3": "T5EncoderModel",
    },
    tokenizers=("tokenizer", "tokenizer_2", "tokenizer_3"),
)
REPOSITORY = "stabilityai/stable-diffusion-3-medium-diffusers"
"""Where components are to be had that a file lacks, where nothing else is said."""


def load_stable_diffusion_3(location: Path, *, config: str | Path | None, dtype: torch.dtype) -> Any:
    """A diffusers pipeline, used for nothing but its components.

    A file with the CLIP encoders and without T5 is a model without T5.

    Args:
        location: a diffusers folder or a single .safetensors file.
        config: for a single file, the folder or hub id of the components that it lacks.
        dtype: precision of the weights.

    Raises:
        ModelLoadError: the files are missing, damaged, pickled, or lack some of the model's weights.
    """
    if location.suffix.lower() != ".safetensors" or not location.is_file():
        return load_pipeline(location, LAYOUT, config=config, dtype=dtype)
    with loading(location):
        names = tensor_shapes(location)

        def holds(start: str) -> bool:
            return any(name.startswith(start) for name in names)

        autoencoder = holds("first_stage_model.")
        if not autoencoder or not holds("text_encoders.clip_l."):
            return _with_parts(location, autoencoder=autoencoder, config=config, dtype=dtype)
    without = {} if holds("text_encoders.t5xxl.") else {"text_encoder_3": None, "tokenizer_3": None}
    return load_pipeline(location, LAYOUT, config=config, dtype=dtype, **without)


def _with_parts(file: Path, *, autoencoder: bool, config: str | Path | None, dtype: torch.dtype) -> Any:
    """The pipeline whose transformer, and autoencoder or not, are in a file, and the rest in a folder or on the hub."""
    import diffusers

    source = str(config or REPOSITORY)
    parts = {
        "transformer": diffusers.SD3Transformer2DModel.from_single_file(
            str(file), config=source, subfolder="transformer", dtype=dtype
        )
    }
    if autoencoder:
        parts["vae"] = diffusers.AutoencoderKL.from_single_file(
            str(file), config=source, subfolder="vae", dtype=dtype
        )
    require_all_weights(
        [
            f"{component}.{name}"
            for component, network in parts.items()
            for name, weights in network.named_parameters()
            if weights.is_meta
        ]
    )
    if Path(source).is_dir():
        return load_pipeline(Path(source), LAYOUT, config=None, dtype=dtype, **parts)
    return diffusers.StableDiffusion3Pipeline.from_pretrained(
        source, use_safetensors=True, dtype=dtype, **parts
    )
