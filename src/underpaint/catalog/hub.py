"""What of the Hugging Face hub is on this machine already.

Only huggingface_hub's own functions look there, so its variables (`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`)
mean here what they mean everywhere. Nothing in this file downloads.
"""

from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError

from underpaint.catalog.diffusers_folder import inspect_folder
from underpaint.catalog.entry import ModelFiles
from underpaint.catalog.errors import ModelRefused


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


def is_available_offline(files: ModelFiles) -> bool:
    """Whether a hub model can be loaded without the hub."""
    return cached_folder(files) is not None
