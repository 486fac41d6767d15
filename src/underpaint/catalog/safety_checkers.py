"""Classifiers that tell whether a picture is unsafe: folders and hub repositories, and what their labels mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from underpaint.catalog.diffusers_folder import check_weights, read_json
from underpaint.catalog.download import DownloadFailed
from underpaint.catalog.errors import ModelRefused
from underpaint.catalog.hub import is_offline

WANTED_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
"""Of a repository: nothing that could run code."""
UNSAFE_WORDS = ("nsfw", "unsafe", "porn", "hentai", "sexy", "sensual", "explicit", "nude", "sexual")
"""A label that holds one of these counts as unsafe, unless a setting says which labels do."""
SAFE_BEGINNINGS = ("not", "non", "no_", "no-", "no ")
"""How a label begins that only seems to."""
_STABLE_DIFFUSION = "StableDiffusionSafetyChecker"
_CLASSIFIER = "ForImageClassification"


@dataclass(frozen=True, kw_only=True)
class SafetyCheckerFiles:
    """One on this machine."""

    folder: Path
    unsafe_labels: tuple[str, ...] | None
    """None for the safety checker of Stable Diffusion, which has no labels."""


def is_on_this_machine(name: str) -> bool:
    """Whether a name is that of a folder, and not of a hub repository."""
    return name.startswith(("/", ".", "~")) or Path(name).is_dir()


def safety_checker(name: str, *, unsafe_labels: Sequence[str] = ()) -> SafetyCheckerFiles:
    """Find one, and check what can be checked without loading it.

    Blocks for as long as a download takes, if it is not on this machine yet.

    Args:
        name: a folder, or a hub id with or without `@REVISION`.
        unsafe_labels: those of its labels that count as unsafe; none for those that sound like it.

    Raises:
        ModelRefused: it is none, or its files are not there or no safetensors. The message may name paths.
        DownloadFailed: the hub has no such repository, or cannot be reached.
    """
    folder = Path(name).expanduser() if is_on_this_machine(name) else _from_hub(name)
    if not folder.is_dir():
        raise ModelRefused(f"there is no folder {folder}")
    config = read_json(folder / "config.json")
    check_weights(folder)
    architectures = config.get("architectures")
    architecture = architectures[0] if isinstance(architectures, list) and architectures else None
    if architecture == _STABLE_DIFFUSION:
        if unsafe_labels:
            raise ModelRefused(f"{folder} has no labels, and so none of {', '.join(unsafe_labels)}")
        return SafetyCheckerFiles(folder=folder, unsafe_labels=None)
    if not isinstance(architecture, str) or not architecture.endswith(_CLASSIFIER):
        raise ModelRefused(f"{folder} is no image classifier, but {architecture}")
    if not (folder / "preprocessor_config.json").is_file():
        raise ModelRefused(f"{folder} has no preprocessor_config.json")
    return SafetyCheckerFiles(folder=folder, unsafe_labels=_unsafe(_labels(config), unsafe_labels, folder))


def _labels(config: Mapping[str, Any]) -> list[str]:
    labels = config.get("id2label")
    return [str(label) for label in labels.values()] if isinstance(labels, dict) else []


def _unsafe(labels: Sequence[str], chosen: Sequence[str], folder: Path) -> tuple[str, ...]:
    said = f"{folder} has the labels {', '.join(labels) or 'of nothing'}"
    if missing := [label for label in chosen if label not in labels]:
        raise ModelRefused(f"{said}, and not {', '.join(missing)}")
    found = tuple(chosen) or tuple(label for label in labels if _sounds_unsafe(label.lower()))
    if not found or len(found) == len(labels):
        raise ModelRefused(f"{said}; the setting safety_labels must say which of them are unsafe")
    return found


def _sounds_unsafe(label: str) -> bool:
    return any(word in label for word in UNSAFE_WORDS) and not label.startswith(SAFE_BEGINNINGS)


def _from_hub(name: str) -> Path:
    repository, _, revision = name.partition("@")
    options: dict[str, Any] = {"revision": revision or None, "allow_patterns": list(WANTED_FILES)}
    try:
        cached = Path(huggingface_hub.snapshot_download(repository, local_files_only=True, **options))
        check_weights(cached)
        return cached
    except (LocalEntryNotFoundError, ModelRefused):
        pass
    except HFValidationError as failure:
        raise ModelRefused(f"{name} is neither a folder nor a hub id: {failure}") from None
    if is_offline():
        raise DownloadFailed(
            f"the safety checker {repository} is not downloaded yet, and this server is set to work offline"
        )
    try:
        return Path(huggingface_hub.snapshot_download(repository, **options))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as failure:
        raise DownloadFailed(f"the safety checker {repository} could not be fetched: {failure}") from failure
