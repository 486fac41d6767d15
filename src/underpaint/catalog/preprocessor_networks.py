"""The networks that preprocessors look with: named by the settings, as a folder or as a repository of the hub."""

from collections.abc import Mapping
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.errors import ModelNotInstalled
from underpaint.catalog.hub import is_offline
from underpaint.preprocessors.networks import NetworkName

SUGGESTED: Mapping[NetworkName, str] = {
    "depth": "depth-anything/Depth-Anything-V2-Small-hf",
    "segmentation": "openmmlab/upernet-convnext-small",
    "person": "PekingU/rtdetr_r50vd",
    "pose": "usyd-community/vitpose-base-simple",
}
"""Repositories of the Hugging Face hub, under licences that allow every use, that messages and docs speak of."""
_WANTED = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


def network_folder(name: NetworkName, named: Mapping[NetworkName, str]) -> Path:
    """The folder of a network; one from the hub is downloaded first if it has not been.

    Args:
        name: what it is for.
        named: the setting `preprocessor_networks`.

    Raises:
        ModelNotInstalled: the setting names none, or a folder that is not there.
        DownloadFailed: it could not be fetched.
    """
    said = named.get(name)
    if said is None:
        raise ModelNotInstalled(
            f"this preprocessor needs a network for {name}, and the server has none. Whoever runs it can name one, "
            f"as a folder or a repository of the Hugging Face hub: --preprocessor-networks {name}={SUGGESTED[name]}"
        )
    folder = Path(said).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_absolute() or said.startswith("."):
        raise ModelNotInstalled(
            f"the folder that the setting preprocessor_networks names for {name} holds no network"
        )
    try:
        return Path(
            huggingface_hub.snapshot_download(said, allow_patterns=[*_WANTED], local_files_only=is_offline())
        )
    except LocalEntryNotFoundError:
        reason = "it is not downloaded yet, and the hub cannot be reached"
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as failure:
        reason = str(failure)
    raise DownloadFailed(f"the network for {name} could not be fetched as {said}: {reason}")
