"""What tests of several families need."""

from typing import Any

import pytest
import torch


@pytest.fixture
def small_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' conversion of FLUX files knows the width of the published model only; the tests' is another."""
    split = torch.split

    def splitting(tensor: torch.Tensor, sizes: Any, dim: int = 0) -> Any:
        if sizes == (3072, 3072, 3072, 12288):
            sizes = (32, 32, 32, 128)
        return split(tensor, sizes, dim)

    monkeypatch.setattr(torch, "split", splitting)
