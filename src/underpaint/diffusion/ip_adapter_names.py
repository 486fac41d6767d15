"""What an IP-Adapter is, told from the names and shapes in its file's header. Loads no torch."""

import json
from collections.abc import Mapping
from pathlib import Path


def is_for_faces_alone(names: Mapping[str, object]) -> bool:
    """Whether it is a FaceID adapter, which is led by the numbers of a face recognizer and not by a picture."""
    projected = "image_proj.proj.0.weight" in names and "image_proj.proj.3.weight" not in names
    return projected or "image_proj.perceiver_resampler.proj_in.weight" in names


def is_redux(names: Mapping[str, object]) -> bool:
    """Whether it is FLUX.1 Redux, whose pictures take the place of the prompt."""
    return "redux_up.weight" in names and "redux_down.weight" in names


def encoder_width(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, int] | None:
    """Of the image encoder that an adapter was trained with: the name in its configuration, and the value.

    Plain adapters read what the encoder makes of the picture as a whole, the others its last layer but one, and Redux
    its last.

    Args:
        shapes: of the tensors of its file, by name.

    Returns:
        None where the header says neither.
    """
    for name, key, axis in (
        ("image_proj.proj.weight", "projection_dim", 1),
        ("image_proj.proj.0.weight", "hidden_size", 0),
        ("image_proj.proj_in.weight", "hidden_size", 1),
        ("redux_up.weight", "hidden_size", 1),
    ):
        shape = shapes.get(name, ())
        if len(shape) == 2:
            return key, shape[axis]
    return None


def is_image_encoder(folder: Path) -> bool:
    """Whether a folder has the configuration and the safetensors weights of one."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def fits(folder: Path, width: tuple[str, int]) -> bool:
    """Whether a folder holds an image encoder of this width (`encoder_width`)."""
    if not is_image_encoder(folder):
        return False
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    key, value = width
    return isinstance(config, dict) and config.get(key) == value
