"""Folders of ControlNets, as diffusers writes them: a `config.json` and weights, without a `model_index.json`."""

from pathlib import Path

from underpaint.catalog.contents import Contents, contents_of
from underpaint.catalog.diffusers_folder import check_weights, read_json
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.safetensors_header import TensorSpec, read_header
from underpaint.diffusion.controlnet_names import weight_files

CLASSES = frozenset({"ControlNetModel", "FluxControlNetModel"})


def is_controlnet_folder(folder: Path) -> bool:
    """Whether a folder says of itself that it holds a ControlNet, of whatever kind."""
    if (folder / "model_index.json").exists() or not (folder / "config.json").is_file():
        return False
    return "ControlNet" in str(read_json(folder / "config.json").get("_class_name"))


def inspect_controlnet(folder: Path) -> Contents:
    """Check a folder and say what it holds. Opens JSON files and the headers of weights, and no pickle ever.

    Raises:
        ModelRefused: its weights are not in complete safetensors files, or are of another kind of ControlNet.
    """
    class_name = read_json(folder / "config.json").get("_class_name")
    if class_name not in CLASSES:
        raise ModelRefused(f"{folder} holds a {class_name}, which this version cannot use")
    check_weights(folder)
    contents = contents_of(controlnet_tensors(folder))
    if contents.category != "controlnet":
        raise ModelRefused(f"{folder} is to hold a ControlNet, but has no such tensors")
    return contents


def controlnet_tensors(location: Path) -> dict[str, TensorSpec]:
    """Names and shapes of all tensors of a folder or single file.

    Raises:
        ModelRefused: a file is missing or damaged.
    """
    files = weight_files(location)
    if not files:
        raise ModelRefused(f"{location} has no .safetensors file")
    return {name: spec for path in files for name, spec in read_header(path).tensors.items()}
