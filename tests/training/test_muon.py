import pytest
import torch

from training.muon import Muon, muon_groups, orthogonalised


@pytest.mark.parametrize("shape", [(2, 12, 40), (2, 40, 12), (1, 16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    singular = torch.linalg.svdvals(orthogonalised(matrices))
    assert singular.max() < 1.4
    assert singular.min() > 0.3


def test_it_fits_a_linear_map() -> None:
    torch.manual_seed(0)
    layer, wanted = torch.nn.Linear(6, 4), torch.randn(4, 6)
    optimizer = Muon(muon_groups(layer, 0.1, 0.05))
    inputs = torch.randn(64, 6)
    losses = []
    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * (1 - step / 150)
        loss = (layer(inputs) - inputs @ wanted.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_matrices_go_to_muon_and_the_rest_to_adam() -> None:
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(5, 4),
            "body": torch.nn.Conv2d(2, 3, 3),
            "conv_out": torch.nn.Linear(3, 2),
        }
    )
    matrices, others = muon_groups(model, 0.1, 0.2, skip=("conv_out",))
    assert [tuple(p.shape) for p in matrices["params"]] == [(3, 2, 3, 3)]
    assert len(others["params"]) == 4
    assert (matrices["lr"], others["lr"]) == (0.1, 0.2)
