"""Files of a FLUX checkpoint to networks in memory.

Its single files come in two kinds: the transformer alone, as Black Forest Labs publish it, to which the other
components come from elsewhere, and one with everything, as it is made for ComfyUI. Fill, Canny, Depth and Kontext
differ from dev in what the transformer is shown and in nothing else, so that any of their folders completes a file of
each.
"""

from collections.abc import Mapping, Sequence
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
    pipeline="FluxPipeline",
    denoiser="transformer",
    text_encoders={"text_encoder": "CLIPTextModel", "text_encoder_2": "T5EncoderModel"},
    tokenizers=("tokenizer", "tokenizer_2"),
)
GUIDED_REPOSITORY, UNGUIDED_REPOSITORY = "black-forest-labs/FLUX.1-dev", "black-forest-labs/FLUX.1-schnell"
"""Where the components are to be had that a file with the transformer alone lacks."""
_FIRST_LAYER, _LAST_LAYER = "img_in.weight", "final_layer.linear.weight"


def load_flux(location: Path, *, config: str | Path | None, dtype: torch.dtype) -> Any:
    """A diffusers pipeline, used for nothing but its components.

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
        shapes = tensor_shapes(location)
        guided = any("guidance_in." in name for name in shapes)
        source = str(config or (GUIDED_REPOSITORY if guided else UNGUIDED_REPOSITORY))
        transformer = _transformer(location, shapes, source=source, dtype=dtype)
        if not any(name.startswith(("vae.", "first_stage_model.")) for name in shapes):
            return _with_transformer(transformer, source=source, dtype=dtype)
    return load_pipeline(location, LAYOUT, config=source, dtype=dtype, transformer=transformer)


def _transformer(file: Path, shapes: Mapping[str, Sequence[int]], *, source: str, dtype: torch.dtype) -> Any:
    """The transformer in a file, which may take more channels than the configuration of `source` says."""
    from diffusers import FluxTransformer2DModel

    entry, exit_ = (
        next((shape for name, shape in shapes.items() if name.endswith(layer) and len(shape) == 2), None)
        for layer in (_FIRST_LAYER, _LAST_LAYER)
    )
    if entry is None or exit_ is None:
        raise ValueError(
            f"it has no {_FIRST_LAYER} and {_LAST_LAYER}, so it is no model in the original layout"
        )
    transformer = FluxTransformer2DModel.from_single_file(
        str(file),
        config=source,
        subfolder="transformer",
        in_channels=entry[1],
        out_channels=exit_[0],
        dtype=dtype,
    )
    require_all_weights([name for name, weights in transformer.named_parameters() if weights.is_meta])
    return transformer


def _with_transformer(transformer: Any, *, source: str, dtype: torch.dtype) -> Any:
    """The pipeline of a transformer, whose other components are in a folder or on the hub."""
    from diffusers import FluxPipeline

    if Path(source).is_dir():
        return load_pipeline(Path(source), LAYOUT, config=None, dtype=dtype, transformer=transformer)
    return FluxPipeline.from_pretrained(source, transformer=transformer, use_safetensors=True, dtype=dtype)
