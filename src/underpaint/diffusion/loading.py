"""Files of a checkpoint to networks in memory, and nothing but safetensors opened on the way."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.quiet import quiet_libraries


@dataclass(frozen=True, kw_only=True)
class PipelineLayout:
    """What the checkpoints of a family consist of, by the names of their folders."""

    pipeline: str
    """diffusers' class."""
    denoiser: str
    text_encoders: Mapping[str, str]
    """Each with its class in transformers."""
    tokenizers: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the class is loaded with besides."""


def load_pipeline(
    location: Path,
    layout: PipelineLayout,
    *,
    config: str | Path | None,
    dtype: torch.dtype,
    **components: Any,
) -> Any:
    """A diffusers pipeline, used for nothing but its components.

    Args:
        location: a diffusers folder or a .safetensors file in the layout in which such models are published.
        layout: of the family.
        config: for a single file, the folder or hub id of its configuration and tokenizers.
        dtype: precision of the weights.
        components: those that are loaded already.

    Raises:
        ModelLoadError: the files are missing, damaged, pickled, or lack some of the model's weights.
    """
    with loading(location):
        return _load(location, layout, config=config, dtype=dtype, components=components)


@contextmanager
def loading(location: Path) -> Iterator[None]:
    """Keep the libraries quiet, and say of what they raise which model it is about.

    Raises:
        ModelLoadError: something was raised that they raise for files that they cannot use.
    """
    try:
        with quiet_libraries():
            yield
    except ModelLoadError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as failure:
        # Where diffusers stumbles over what it left without values.
        lacking = isinstance(failure, NotImplementedError) and "meta tensor" in str(failure)
        said = "its files lack some of the model's weights" if lacking else failure
        raise ModelLoadError(f"{location.name} cannot be loaded: {said}") from failure


def _load(
    location: Path,
    layout: PipelineLayout,
    *,
    config: str | Path | None,
    dtype: torch.dtype,
    components: Mapping[str, Any],
) -> Any:
    import diffusers

    pipeline_class = getattr(diffusers, layout.pipeline)
    options: dict[str, Any] = {"use_safetensors": True, "dtype": dtype, **layout.options, **components}
    if location.is_dir():
        left_out = _left_out(location)
        text = {
            name: load_part(location / name, class_name, dtype=dtype)
            for name, class_name in layout.text_encoders.items()
            if name not in components and name not in left_out
        }
        # Not every class of diffusers' knows that it can do without some.
        without = {name: None for name in (*layout.text_encoders, *layout.tokenizers) if name in left_out}
        pipeline = pipeline_class.from_pretrained(
            location,
            local_files_only=True,
            variant=_variant(location / layout.denoiser),
            **{**without, **text, **options},
        )
        _require_vocabularies(location, layout)
    else:
        # diffusers would read a .ckpt, which is a pickle.
        if location.suffix.lower() != ".safetensors":
            raise ValueError("it is neither a diffusers folder nor a .safetensors file")
        if config is not None:
            options["config"] = str(config)
        if config is not None and layout.denoiser == "unet":
            options["unet"] = _load_unet(location, config, dtype=dtype)
        pipeline = pipeline_class.from_single_file(str(location), **options)
        if layout.denoiser == "unet":
            pipeline.scheduler.register_to_config(**_told_of_schedule(location))
        if config is not None and Path(config).is_dir():
            _require_vocabularies(Path(config), layout)
    for name in layout.text_encoders:
        if (encoder := getattr(pipeline, name)) is not None:
            # Files hold once what a network has under two names.
            encoder.tie_weights()
    # What the files lack, diffusers leaves without values.
    lacking = [
        f"{component}.{name}"
        for component in (layout.denoiser, "vae", *layout.text_encoders)
        if (network := getattr(pipeline, component)) is not None
        for name, weights in network.named_parameters()
        if weights.is_meta
    ]
    require_all_weights(lacking)
    return pipeline


_FIRST_LAYER = "model.diffusion_model.input_blocks.0.0.weight"


def _load_unet(location: Path, config: str | Path, *, dtype: torch.dtype) -> Any:
    """The UNet of a single file, whose first layer may take more channels than the configuration says: an inpainting
    model has the architecture of a base model in everything else.
    """
    import diffusers
    from safetensors import safe_open

    with safe_open(location, framework="pt") as weights:
        if _FIRST_LAYER not in weights.keys():  # noqa: SIM118 (it is no mapping)
            raise ValueError(f"it has no {_FIRST_LAYER}, so it is no model in the original layout")
        in_channels = int(weights.get_slice(_FIRST_LAYER).get_shape()[1])
    return diffusers.UNet2DConditionModel.from_single_file(
        str(location), config=str(config), subfolder="unet", in_channels=in_channels, dtype=dtype
    )


def _told_of_schedule(location: Path) -> dict[str, Any]:
    """What a single file says of how its UNet was trained, by the names of diffusers' scheduler configuration.

    The markers among the weights are those that ComfyUI reads (`model_type` in comfy/supported_models.py); the metadata
    is of the Stability AI Model Metadata Standard. For a file that says nothing, the configuration holds.
    """
    from safetensors import safe_open

    with safe_open(location, framework="pt") as weights:
        names, metadata = set(weights.keys()), weights.metadata() or {}
    told: dict[str, Any] = {}
    if "v_pred" in names or metadata.get("modelspec.predict_key") == "v":
        told["prediction_type"] = "v_prediction"
        if "ztsnr" in names:
            told["rescale_betas_zero_snr"] = True
    return told


def load_part(folder: Path, class_name: str, *, dtype: torch.dtype, **options: Any) -> Any:
    """A network of transformers', by the name of its class. Raises what they raise, and `ValueError`."""
    import transformers

    # transformers would draw what the files lack at random.
    network, report = getattr(transformers, class_name).from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        dtype=dtype,
        output_loading_info=True,
        variant=_variant(folder),
        **options,
    )
    require_all_weights([f"{folder.name}.{name}" for name in report["missing_keys"]])
    return network


def require_all_weights(lacking: Sequence[str]) -> None:
    """Refuse a model of which these weights are missing. Raises `ValueError`."""
    if lacking:
        raise ValueError(f"its files lack {len(lacking)} of the model's weights, such as {min(lacking)}")


def _require_vocabularies(folder: Path, layout: PipelineLayout) -> None:
    # Without one transformers makes a tokenizer that knows no words.
    for tokenizer in layout.tokenizers:
        if tokenizer not in _left_out(folder) and not any(
            (folder / tokenizer / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model")
        ):
            raise FileNotFoundError(f"the vocabulary of its {tokenizer} is missing")


def _left_out(folder: Path) -> set[str]:
    """Components that checkpoints of the family may have, and that this one says it does without."""
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    return {name for name, parts in index.items() if parts == [None, None]}


def _variant(component: Path) -> str | None:
    """The name "fp16" for a component that is there only under the name of its half-precision variant."""
    names = [path.name for path in component.glob("*.safetensors")]
    return "fp16" if names and all(".fp16." in name for name in names) else None


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Of a safetensors file, by its header. Raises what safetensors raises."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118 (it is no mapping)
