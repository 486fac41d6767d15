"""The models that ship with the package, one folder for each version, each with its model card."""

from pathlib import Path

CHECKPOINTS = Path(__file__).parent / "checkpoints"


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
