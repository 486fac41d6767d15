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
    folder = CHECKPOINTS / version.replace("@", "-")
    if folder.parent != CHECKPOINTS or not (folder / "model_index.json").is_file():
        raise LookupError(f"no embedded model {version!r} ships with this package")
    return folder


def addition_dir(version: str) -> Path:
    """The folder of an embedded LoRA or IP-Adapter.

    Args:
        version: what follows the colon of its identifier: "lora@1" for `underpaint:lora@1`.

    Raises:
        LookupError: no such version ships with this package.
    """
    folder = ADDITIONS / version.replace("@", "-")
    if folder.parent != ADDITIONS or not (folder / "MODEL_CARD.md").is_file():
        raise LookupError(f"no addition {version!r} ships with this package")
    return folder
