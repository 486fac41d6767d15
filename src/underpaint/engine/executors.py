"""What runs the passes of a model: PyTorch as it is, or a compiled form, made ready while PyTorch already serves."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family
from underpaint.diffusion.openvino_unet import OpenVinoMissing, require_openvino
from underpaint.engine.messages import EngineOptions, Executor
from underpaint.engine.weights import WeightsForm

log = logging.getLogger(__name__)


@runtime_checkable
class Compilable(Protocol):
    """A family whose passes OpenVINO can run."""

    executor: Executor

    def prepare_openvino(self, precision: torch.dtype) -> Callable[[], None]:
        """See `StableDiffusion.prepare_openvino`."""
        ...


def executor_of(model: Family) -> Executor:
    """What runs the model's passes at present."""
    return model.executor if isinstance(model, Compilable) else "eager"


class Executors:
    """The choice of one engine."""

    def __init__(self, options: EngineOptions, *, device: torch.device, dtype: torch.dtype) -> None:
        """Choose, and say in one line why it is not what the options ask for.

        Args:
            options: `executor` is what is wanted; under strict determinism it serves from a model's first pass.
            device: of the models.
            dtype: in which passes compute.
        """
        self._at_once = options.strict_rows is not None
        self._precision = dtype
        self.chosen: Executor = "eager"
        if options.executor == "openvino":
            refusal = _refusal(device, dtype)
            if refusal is None:
                self.chosen = "openvino"
            else:
                log.warning("%s", refusal)

    def weights_of(self, architecture: str) -> WeightsForm:
        """How models of an architecture are held. OpenVINO converts from full precision, whatever it computes in."""
        if self.chosen == "eager" or not FAMILY_OF_ARCHITECTURE[architecture].has_unet:
            return WeightsForm(dtype=self._precision, copies=1)
        return WeightsForm(dtype=torch.float32, copies=2)

    def take(self, model: Family, name: str) -> None:
        """Make the compiled form of a model that was just loaded: now under strict determinism, else in a thread."""
        if self.chosen == "eager" or not isinstance(model, Compilable):
            return
        try:
            make = model.prepare_openvino(self._precision)
        except Exception as failure:
            log.warning("%s runs in PyTorch: %s", name, failure)
            return
        if self._at_once:
            _make(make, name)
        else:
            threading.Thread(target=_make, args=(make, name), name="compilation", daemon=True).start()


def _make(make: Callable[[], None], name: str) -> None:
    started_s = time.monotonic()
    try:
        make()
    except Exception as failure:
        log.warning("%s goes on in PyTorch, OpenVINO cannot run it: %s", name, failure)
        return
    log.info("%s runs in OpenVINO, which took %.1f s to prepare", name, time.monotonic() - started_s)


def _refusal(device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"OpenVINO is for CPUs: passes run in PyTorch on {device}"
    if dtype not in (torch.float32, torch.bfloat16):
        return f"OpenVINO does not compute in {dtype}: passes run in PyTorch"
    try:
        require_openvino()
    except OpenVinoMissing as missing:
        return str(missing)
    return None
