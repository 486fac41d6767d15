"""What a ControlNet is, told from the names in its files' headers, and which files those are. Loads no torch."""

from collections.abc import Iterable
from pathlib import Path

ORIGINAL_NAMES = ("control_model.", "input_hint_block.", "zero_convs.")
"""How names of the original layout begin: as lllyasviel published it, and as kohya's trainer writes it."""
DIFFUSERS_NAMES = ("controlnet_cond_embedding.", "controlnet_down_blocks.")
FLUX_NAMES = ("controlnet_blocks.", "controlnet_x_embedder.")
_OTHERS = (
    ("lllite_", "a ControlNet-LLLite"),
    ("lora_controlnet", "a Control-LoRA"),
    ("difference", "a ControlNet that is to be added to the weights of its base model"),
    ("control_add_embedding.", "a ControlNet for several kinds of maps"),
    ("adapter.", "a T2I-Adapter"),
)
"""What is called a ControlNet and is another network, by how names in its file begin."""


def other_kind(names: Iterable[str]) -> str | None:
    """What takes maps as ControlNets do, but is another network; None for anything else."""
    every = [*names]
    for beginning, kind in _OTHERS:
        if any(name.startswith(beginning) for name in every):
            return kind
    return None


def weight_files(location: Path) -> list[Path]:
    """The safetensors files of a folder or single file; of a folder's, those of full precision where there are any."""
    if location.is_file():
        return [location]
    files = sorted(location.glob("*.safetensors"))
    return [path for path in files if ".fp16." not in path.name] or files
