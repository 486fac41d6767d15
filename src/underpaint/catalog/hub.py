"""What of the Hugging Face hub is on this machine already.

Only huggingface_hub's own functions look there, so its variables (`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`)
mean here what they mean everywhere. Nothing in this file downloads.
"""

from collections.abc import Iterable
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from underpaint.catalog.diffusers_folder import inspect_folder
from underpaint.catalog.entry import Category, ModelFiles
from underpaint.catalog.errors import ModelRefused
from underpaint.diffusion.ip_adapter_names import is_image_encoder

USUAL_NAMES = (
    "pytorch_lora_weights.safetensors",
    "learned_embeds.safetensors",
    "diffusion_pytorch_model.safetensors",
)
"""Under which diffusers stores what is no checkpoint."""
REDUX = "image_embedder/diffusion_pytorch_model.safetensors"
"""Of FLUX.1 Redux in the layout of diffusers, whose image encoder is in a folder beside that."""
IMAGE_ENCODER = "image_encoder"


def is_offline() -> bool:
    """Whether downloads are switched off by environment."""
    return constants.is_offline_mode()


def cached_folder(files: ModelFiles) -> Path | None:
    """The folder of the local cache that holds a hub model in the diffusers layout, or None.

    A download that stopped half-way does not count: every component must have its weights.
    """
    try:
        index = huggingface_hub.try_to_load_from_cache(
            files.location, "model_index.json", revision=files.revision
        )
        if not isinstance(index, str):
            return None
        inspect_folder(Path(index).parent)
    except (HFValidationError, ModelRefused):
        return None
    return Path(index).parent


def is_available_offline(files: ModelFiles, category: Category) -> bool:
    """Whether a hub model can be loaded without the hub."""
    return (cached_folder(files) if category == "checkpoint" else cached_file(files, category)) is not None


def cached_file(files: ModelFiles, category: Category) -> Path | None:
    """The one file of a hub model that is no checkpoint, in the local cache; None where it is not there, and for an
    adapter also where its image encoder is not.
    """
    try:
        folder = Path(
            huggingface_hub.snapshot_download(files.location, revision=files.revision, local_files_only=True)
        )
    except (HFValidationError, LocalEntryNotFoundError):
        return None
    if category == "ipadapter":
        is_whole = (folder / REDUX).is_file() and is_image_encoder(folder / IMAGE_ENCODER)
        return folder / REDUX if is_whole else None
    name = weights_file([path.name for path in folder.glob("*.safetensors")])
    return None if name is None else folder / name


def weights_file(names: Iterable[str]) -> str | None:
    """Which of a repository's files holds a LoRA or the like: that of the usual name, or the only one at its top."""
    weights = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    usual = [name for name in weights if name in USUAL_NAMES]
    return usual[0] if usual else weights[0] if len(weights) == 1 else None
