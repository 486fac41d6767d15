"""Files of a FLUX checkpoint to networks in memory.

Its single files come in two kinds: the transformer alone, as Black Forest Labs publish it, to which the other
components come from elsewhere, and one with everything, as it is made for ComfyUI.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from underpaint.diffusion.loading import (
    PipelineLayout,
    load_pipeline,
    loading,
    require_all_weights,
    tensor_names,
)

LAYOUT = PipelineLayout(
    pipeline="FluxPipeline",
    denoiser="transformer",
    text_encoders={"text_encoder": "CLIPTextModel", "text_encoder_2": "T5EncoderModel"},
    tokenizers=("tokenizer", "tokenizer_2"),
)
GUIDED_REPOSITORY, UNGUIDED_REPOSITORY = "black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell"
"""Where the components are to be had that a file with the transformer alone lacks."""


def load_flux(location: Path, *, config: str | Path | None, dtype: torch.dtype) -> Any:
    """A diffusers pipeline, used for nothing but its components.

    Args:
        location: a diffusers folder or a single .safetensors file.
        config: for a single file, the folder or hub id of the components that it lacks.
        dtype: precision of the weights.

    Raises:
        ModelLoadError: the files are missing, damaged, pickled, or lack some of the model's weights.
    """
    if location.suffix.lower() == ".safetensors" and location.is_file():
        with loading(location):
            names = tensor_names(location)
            if not any(name.startswith(("vae.", "first_stage_model.")) for name in names):
                return _with_transformer(location, names, config=config, dtype=dtype)
    return load_pipeline(location, LAYOUT, config=config, dtype=dtype)


def _with_transformer(
    file: Path, names: Sequence[str], *, config: str | Path | None, dtype: torch.dtype
) -> Any:
    """The pipeline whose transformer is in a file, and whose other components are in a folder or on the hub."""
    from diffusers import FluxPipeline, FluxTransformer2DModel

    guided = any("guidance_in." in name for name in names)
    source = str(config or (GUIDED_REPOSITORY if guided else UNGUIDED_REPOSITORY))
    transformer = FluxTransformer2DModel.from_single_file(
        str(file), config=source, subfolder="transformer", dtype=dtype
    )
    require_all_weights([name for name, weights in transformer.named_parameters() if weights.is_meta])
    if Path(source).is_dir():
        return load_pipeline(Path(source), LAYOUT, config=None, dtype=dtype, transformer=transformer)
    return FluxPipeline.from_pretrained(source, transformer=transformer, use_safetensors=True, dtype=dtype)
