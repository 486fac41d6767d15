"""Networks of transformers' that preprocessors look with: from a folder in transformers' layout, on the CPU."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

NetworkName = Literal["depth", "segmentation", "person", "pose"]
"""What a network does."""
_CLASSES: dict[NetworkName, str] = {
    "depth": "AutoModelForDepthEstimation",
    "segmentation": "AutoModelForSemanticSegmentation",
    "person": "AutoModelForObjectDetection",
    "pose": "VitPoseForPoseEstimation",
}


class NetworkUnusable(RuntimeError):
    """The files of a network cannot be used. The message is fit to show a client."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network and what prepares pictures for it. Stateless between calls."""

    model: Any
    processor: Any


class Networks:
    """The networks of one process, loaded when they are first needed."""

    def __init__(self) -> None:
        self._loaded: dict[Path, Network] = {}

    def get(self, name: NetworkName, folder: Path) -> Network:
        """A network that does `name`.

        Raises:
            NetworkUnusable: its files are missing, damaged, pickled, or of a network that does something else.
        """
        if folder not in self._loaded:
            self._loaded[folder] = _load(name, folder)
        return self._loaded[folder]


def _load(name: NetworkName, folder: Path) -> Network:
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, report = getattr(transformers, _CLASSES[name]).from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            # The other backend needs torchvision.
            processor = transformers.AutoImageProcessor.from_pretrained(
                folder, local_files_only=True, backend="pil"
            )
    except Exception as failure:
        # Whatever they raise for files that they cannot use, and that is nearly everything.
        reason = str(failure).splitlines()[0].replace(str(folder), "its folder")
        raise NetworkUnusable(f"{folder.name} cannot be used for {name}: {reason}") from failure
    if report["missing_keys"]:
        # transformers draws what the files lack at random.
        raise NetworkUnusable(
            f"{folder.name} cannot be used for {name}: its files lack {len(report['missing_keys'])} of its weights"
        )
    return Network(model=model.eval(), processor=processor)
