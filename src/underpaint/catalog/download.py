"""Files of a hub model onto this machine.

Only safetensors weights, configuration and tokenizers of the components that the model's index names are fetched; never
a pickle, and never the same weights in a second precision.
"""

import json
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from underpaint.catalog.entry import ModelEntry, ModelFiles

_UNUSED_COMPONENTS = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
_WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")
_UNWANTED = ("*.fp16.*", "*.fp32.*", "*.non_ema.*", "*.bf16.*", "*flax*", "*openvino*", "*onnx*")


class DownloadFailed(RuntimeError):
    """A model could not be fetched from the hub. The message is fit to show a client."""


def local_files(entry: ModelEntry) -> Path:
    """Folder or file of a model on this machine; a hub model is downloaded first if it has not been.

    Blocks for as long as that takes. An interrupted download goes on where it stopped, and counts as installed only
    when it is whole.

    Raises:
        DownloadFailed: the hub cannot be reached, has no such model, or asks for a token.
    """
    files = entry.files
    if files is None:
        raise DownloadFailed(f"model {entry.air} has no files")
    if files.form != "hub":
        return Path(files.location)
    try:
        return _snapshot(files)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError, ValueError) as failure:
        raise DownloadFailed(
            f"model {entry.air} could not be fetched as {files.location}: {failure}"
        ) from failure


def _snapshot(files: ModelFiles) -> Path:
    index_path = huggingface_hub.hf_hub_download(files.location, "model_index.json", revision=files.revision)
    index = json.loads(Path(index_path).read_text("utf-8"))
    components = [name for name in index if not name.startswith("_") and name not in _UNUSED_COMPONENTS]
    folder = huggingface_hub.snapshot_download(
        files.location,
        revision=files.revision,
        allow_patterns=[
            "model_index.json",
            *(f"{name}/{pattern}" for name in components for pattern in _WANTED),
        ],
        ignore_patterns=list(_UNWANTED),
    )
    return Path(folder)
