import pytest
import torch

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.out_of_memory import is_out_of_memory


def test_what_pytorch_says_on_a_cpu_is_told() -> None:
    # More than the address space of a process.
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**50)
    assert is_out_of_memory(refused.value)


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
    ids=str,
)
def test_every_device_and_library_says_it_in_its_own_words(failure: Exception) -> None:
    assert is_out_of_memory(failure)


def test_what_was_made_of_it_tells_too() -> None:
    made = ModelLoadError("model cannot be loaded: CUDA out of memory")
    assert not is_out_of_memory(made)
    made.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(made)


@pytest.mark.parametrize(
    "failure", [RuntimeError("CUDA error: an illegal memory access was encountered"), ValueError("memory")]
)
def test_other_failures_are_others(failure: Exception) -> None:
    assert not is_out_of_memory(failure)
