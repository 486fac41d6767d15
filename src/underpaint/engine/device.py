"""Where and in which precision the engine computes."""

import logging
from typing import Literal

import torch

from underpaint.diffusion.placement import Turns

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_device(wanted: Literal["auto", "cpu", "cuda", "mps"]) -> torch.device:
    """The device of that name; "auto" takes CUDA where there is one, then Apple's MPS, then the CPU."""
    if wanted != "auto":
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def choose_dtype(
    wanted: Literal["auto", "float32", "float16", "bfloat16"], device: torch.device
) -> torch.dtype:
    """The precision of that name; "auto" is float16 on a GPU and float32 on a CPU, where halves are emulated slowly."""
    if wanted != "auto":
        return _DTYPES[wanted]
    return torch.float32 if device.type == "cpu" else torch.float16


def choose_turns(wanted: bool, device: torch.device) -> Turns | None:
    """How the networks of models share the device; None where all stay on it, as on a CPU they always do."""
    if wanted and device.type == "cpu":
        log.warning("cpu_offload is for GPUs: models are in main memory anyway")
        return None
    return Turns(device) if wanted else None
