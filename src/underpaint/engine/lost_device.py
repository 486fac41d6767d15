"""Whether a device is lost to this process."""

import torch


def device_is_lost(device: torch.device) -> bool:
    """Whether nothing more can be computed on a device, by this process.

    After an error within a kernel, such as an access to memory that is not its own, every later call of CUDA fails, and
    nothing but a new process helps (CUDA Runtime API, `cudaErrorIllegalAddress`).
    """
    if device.type != "cuda":
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False
