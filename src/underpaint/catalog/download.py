"""Files of a hub model onto this machine.

Only safetensors weights, configuration and tokenizers of the components that the model's index names are fetched; never
a pickle, and never the same weights in a second precision.
"""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from underpaint.catalog.diffusers_folder import inspect_folder
from underpaint.catalog.entry import ModelEntry, ModelFiles
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.hub import (
    IMAGE_ENCODER,
    REDUX,
    cached_file,
    cached_folder,
    is_offline,
    weights_file,
)
from underpaint.diffusion.ip_adapter_names import is_image_encoder

_UNUSED_COMPONENTS = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
_CONFIGURATION = ("*.json", "*.txt", "*.model")
_OTHER_RUNTIMES = ("*flax*", "*openvino*", "*onnx*", "*.non_ema.*")


class DownloadFailed(RuntimeError):
    """A model could not be fetched from the hub. The message is fit to show a client."""


def local_files(entry: ModelEntry, *, max_file_bytes: int | None = None) -> Path:
    """Folder or file of a model on this machine; a hub model is downloaded first if it has not been.

    Blocks for as long as that takes. What is whole of an interrupted download is not fetched again, and it counts as
    installed only when all of it is.

    Args:
        entry: of the model.
        max_file_bytes: nothing is fetched from a repository with larger weights than that.

    Raises:
        DownloadFailed: the hub cannot be reached, has no such model, asks for a token, or has only pickles of it.
    """
    files = entry.files
    if files is None:
        raise DownloadFailed(f"model {entry.air} has no files")
    if files.form != "hub":
        return Path(files.location)
    cached = cached_folder(files) if entry.category == "checkpoint" else cached_file(files, entry.category)
    if cached is not None:
        return cached
    if is_offline():
        raise DownloadFailed(
            f"model {entry.air} is not downloaded yet, and this server is set to work offline"
        )
    try:
        if max_file_bytes is not None:
            _require_size(files, max_file_bytes)
        if entry.category == "ipadapter":
            return _download_redux(files)
        if entry.category != "checkpoint":
            return _download_file(files, with_config=entry.category == "controlnet")
        folder = _download(files)
        inspect_folder(folder)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError, ValueError) as failure:
        # A refused folder may be named by its path, which is nothing for clients.
        reason = "its files are not usable safetensors" if isinstance(failure, ModelRefused) else str(failure)
        raise DownloadFailed(
            f"model {entry.air} could not be fetched as {files.location}: {reason}"
        ) from failure
    return folder


def _require_size(files: ModelFiles, max_file_bytes: int) -> None:
    about = huggingface_hub.model_info(files.location, revision=files.revision, files_metadata=True)
    for each in about.siblings or ():
        if each.rfilename.endswith(".safetensors") and (each.size or 0) > max_file_bytes:
            raise ValueError(f"{each.rfilename} has {each.size} bytes; {max_file_bytes} are the most")


def wanted_files(names: Iterable[str], components: Iterable[str]) -> list[str]:
    """Of a repository's files, those that a pipeline of these components needs.

    Weights of full precision where there are any, else those of the "fp16" variant; no second copy of either.
    """
    wanted = ["model_index.json"]
    every = [PurePosixPath(name) for name in names]
    for component in components:
        here = [
            path
            for path in every
            if path.parent == PurePosixPath(component)
            and not any(fnmatchcase(path.name, pattern) for pattern in _OTHER_RUNTIMES)
        ]
        weights = [path for path in here if path.suffix == ".safetensors"]
        full = [path for path in weights if ".fp16." not in path.name and "bf16" not in path.name]
        wanted += [str(path) for path in full or weights]
        wanted += [
            str(path) for path in here if any(fnmatchcase(path.name, pattern) for pattern in _CONFIGURATION)
        ]
    return wanted


def _download_file(files: ModelFiles, *, with_config: bool) -> Path:
    """The one file of a model that is no checkpoint; its configuration goes beside it."""
    names = huggingface_hub.list_repo_files(files.location, revision=files.revision)
    name = weights_file(names)
    if name is None:
        found = ", ".join(sorted(name for name in names if name.endswith(".safetensors"))) or "none"
        raise ValueError(
            f"which of its safetensors files is meant cannot be told ({found}); add one as a file"
        )
    if with_config and "config.json" in names:
        # First: what is whole without it would be taken to be all of it.
        huggingface_hub.hf_hub_download(files.location, "config.json", revision=files.revision)
    return Path(huggingface_hub.hf_hub_download(files.location, name, revision=files.revision))


def _download_redux(files: ModelFiles) -> Path:
    """The file of Redux, and its image encoder beside it."""
    names = huggingface_hub.list_repo_files(files.location, revision=files.revision)
    if REDUX not in names:
        raise ValueError(
            f"it has no {REDUX}, so it is not Redux, the only adapter that is taken from the hub"
        )
    encoder = [name for name in wanted_files(names, [IMAGE_ENCODER]) if name in names and "/" in name]
    folder = huggingface_hub.snapshot_download(
        files.location, revision=files.revision, allow_patterns=[*encoder, REDUX]
    )
    if not is_image_encoder(Path(folder, IMAGE_ENCODER)):
        raise ValueError("it lacks the image encoder in safetensors")
    return Path(folder, REDUX)


def _download(files: ModelFiles) -> Path:
    index_path = huggingface_hub.hf_hub_download(files.location, "model_index.json", revision=files.revision)
    index = json.loads(Path(index_path).read_text("utf-8"))
    components = [name for name in index if not name.startswith("_") and name not in _UNUSED_COMPONENTS]
    names = huggingface_hub.list_repo_files(files.location, revision=files.revision)
    folder = huggingface_hub.snapshot_download(
        files.location, revision=files.revision, allow_patterns=wanted_files(names, components)
    )
    return Path(folder)
