"""Which number format a device multiplies fastest in."""

import torch


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it, float32 elsewhere.

    On a processor without instructions for bfloat16 it is emulated: a training step took seven times as long.
    """
    if device.type != "cpu":
        return torch.bfloat16
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("amx_bf16") or can.get("avx512_bf16") else torch.float32


def fast_autocast(device: torch.device) -> torch.autocast:
    """A context in which matrix products run in ``fast_dtype``; it changes nothing where that is float32."""
    dtype = fast_dtype(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16)
