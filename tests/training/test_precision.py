"""Training takes bfloat16 only where it is fast."""

import pytest
import torch

from training.precision import fast_autocast, fast_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "wanted"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"avx2": True, "amx_bf16": False, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_processor_is_asked_what_it_computes_in(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert fast_dtype(CPU) is wanted
    with fast_autocast(CPU):
        product = torch.ones(4, 4) @ torch.ones(4, 4)
    assert product.dtype is wanted


def test_a_gpu_computes_in_bfloat16() -> None:
    assert fast_dtype(torch.device("cuda")) is torch.bfloat16
