"""Whether something failed for want of memory, which every device and library says in words of its own."""

import torch

_SAYINGS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    # cuDNN, where no way to compute a convolution fits into what is left.
    "unable to find an engine",
)
"""Parts of the messages of `RuntimeError`: of PyTorch on a CPU (Linux, Windows) and on Apple's GPUs, of cuBLAS and of
cuDNN, whose workspaces are not PyTorch's own."""


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether an exception, or the one that it was raised from, says that there was no memory."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, (torch.OutOfMemoryError, MemoryError)):
            return True
        if isinstance(cause, RuntimeError) and any(saying in str(cause) for saying in _SAYINGS):
            return True
        cause = cause.__cause__
    return False
