"""The models that ship with the package and what acts upon them: a folder for each version, with its model card."""

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"
ADDITIONS = Path(__file__).parent / "additions"


def checkpoint_dir(version: str) -> Path:
    """The diffusers folder of an embedded model.

    Args:
        version: what follows the colon of its identifier: "1@2" for `underpaint:1@2`.

    Raises:
        LookupError: no such version ships with this package.
    """
    return _folder(CHECKPOINTS, version, "model_index.json")


def addition_dir(version: str) -> Path:
    """The folder of an embedded LoRA or IP-Adapter.

    Args:
        version: what follows the colon of its identifier: "lora@1" for `underpaint:lora@1`.

    Raises:
        LookupError: no such version ships with this package.
    """
    return _folder(ADDITIONS, version, "MODEL_CARD.md")


def _folder(parent: Path, version: str, needed: str) -> Path:
    folder = parent / version.replace("@", "-")
    # A version that holds a slash would lead elsewhere.
    if folder.parent != parent or not (folder / needed).is_file():
        raise LookupError(f"nothing of version {version!r} ships with this package")
    return folder
