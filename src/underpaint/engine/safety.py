"""The safety checker: a classifier that looks at finished pictures, for those whose owners ask what is in them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.loading import load_part, loading, require_all_weights
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.engine.messages import SafetyCheck

_PROCESSOR = "preprocessor_config.json"
_PROCESSOR_FOLDER = "feature_extractor"
"""Beside the folder of the checker, in a Stable Diffusion checkpoint."""


class SafetyChecker:
    """One that is loaded. Stateless between calls."""

    def __init__(self, network: Any, processor: Any, judge: Callable[[Tensor], bool]) -> None:
        self._network = network
        self._processor = processor
        self._judge = judge

    @classmethod
    def load(cls, check: SafetyCheck, *, device: torch.device) -> "SafetyChecker":
        """Read a folder in transformers' layout, of which only safetensors are opened, and no code that it brings.

        Raises:
            ModelLoadError: the files are missing, damaged, or of another network than is said.
        """
        # What decides is compared with thresholds: bfloat16 would be too coarse for that.
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        with loading(check.location):
            load = _concepts if check.unsafe_labels is None else _classifier
            network, judge = load(check, dtype)
            if not all(bool(torch.isfinite(weights).all()) for weights in network.parameters()):
                raise ValueError("some of its weights are no numbers")
            return cls(network.to(device).eval(), _processor(check.location, network), judge)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(weights.nbytes for weights in self._network.parameters())

    @torch.inference_mode()
    def is_unsafe(self, picture: Picture) -> bool:
        """Whether a picture, of any size, is one that not everybody should see.

        Raises:
            ArithmeticError: the network gave no answer.
        """
        # The safety checker of diffusers says at each hit that it returns a black picture; it is not asked for one.
        with quiet_libraries():
            pixels = self._processor(Image.fromarray(picture), return_tensors="pt").pixel_values
            return self._judge(pixels.to(self._network.device, self._network.dtype))


def _classifier(check: SafetyCheck, dtype: torch.dtype) -> tuple[Any, Callable[[Tensor], bool]]:
    """An image classifier: unsafe is what its unsafe labels together are given the threshold of probability for."""
    network = load_part(
        check.location, "AutoModelForImageClassification", dtype=dtype, trust_remote_code=False
    )
    labels: dict[int, str] = network.config.id2label
    unsafe = [index for index, label in labels.items() if label in (check.unsafe_labels or ())]
    if not unsafe:
        raise ValueError(f"it has no label that counts as unsafe, only {', '.join(labels.values())}")

    def judge(pixels: Tensor) -> bool:
        logits = network(pixels).logits[0]
        _require_numbers(logits)
        scores = logits.float().softmax(dim=-1)
        return float(scores[unsafe].sum()) >= check.threshold

    return network, judge


def _concepts(check: SafetyCheck, dtype: torch.dtype) -> tuple[Any, Callable[[Tensor], bool]]:
    """The safety checker that was published with Stable Diffusion, which has thresholds of its own."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    network, report = StableDiffusionSafetyChecker.from_pretrained(
        check.location,
        use_safetensors=True,
        local_files_only=True,
        dtype=dtype,
        output_loading_info=True,
    )
    require_all_weights(sorted(report["missing_keys"]))
    # What is no number is beyond no threshold, and would count as safe.
    network.visual_projection.register_forward_hook(lambda _layer, _given, made: _require_numbers(made))

    def judge(pixels: Tensor) -> bool:
        # The pictures that it would blacken are empty ones.
        _, unsafe = network(clip_input=pixels, images=torch.zeros(len(pixels), 1))
        return bool(unsafe[0])

    return network, judge


def _processor(folder: Path, network: Any) -> Any:
    """What brings pictures into the form that the network was trained on."""
    from transformers import AutoImageProcessor, CLIPImageProcessor

    for place in (folder, folder.parent / _PROCESSOR_FOLDER):
        if (place / _PROCESSOR).is_file():
            return AutoImageProcessor.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    # Only folders of Stable Diffusion's checker may do without: it looks at what CLIP looks at.
    side = int(network.config.vision_config.image_size)
    return CLIPImageProcessor(size=side, crop_size=side)


def _require_numbers(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ArithmeticError("the safety checker gave no answer")


class KeptSafetyChecker:
    """The checker of an engine, loaded when it is first needed, and kept. There is one at most.

    Args:
        device: where it goes.
        make_room: called before it is loaded with the bytes that it will take and its name, and with the negative of
            that when it goes. Raises `ModelLoadError` where there is no room.
    """

    def __init__(self, device: torch.device, make_room: Callable[[int, str], None]) -> None:
        self._device = device
        self._make_room = make_room
        self._kept: tuple[SafetyCheck, SafetyChecker, int] | None = None

    def get(self, check: SafetyCheck) -> SafetyChecker:
        """The checker, loaded if it is not yet.

        Raises:
            ModelLoadError: its files cannot be used, or are more than there is memory for.
        """
        if self._kept is not None and self._kept[0] == check:
            return self._kept[1]
        name = check.location.name
        if self._kept is not None:
            former, self._kept = self._kept[2], None
            self._make_room(-former, name)
        size = sum(path.stat().st_size for path in check.location.glob("*.safetensors"))
        self._make_room(size, name)
        try:
            checker = SafetyChecker.load(check, device=self._device)
        except BaseException as failure:
            self._make_room(-size, name)
            if is_out_of_memory(failure):
                raise ModelLoadError(f"there is no memory for the safety checker {name}") from failure
            raise
        self._kept = (check, checker, size)
        return checker
