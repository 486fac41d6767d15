"""Muon: momentum whose update is orthogonalised, for weight matrices; AdamW for everything else.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): the momentum of each matrix
is replaced by the nearest semi-orthogonal matrix, found with five Newton-Schulz steps of an odd quintic
polynomial.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.precision import fast_dtype


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """A batch ``(n, rows, columns)`` of matrices with their singular values moved near one.

    Newton-Schulz with the coefficients of the paper, in the device's fastest format: bfloat16 is precise enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.size(1) > matrices.size(2)
    x = (matrices.mT if tall else matrices).to(fast_dtype(matrices.device))
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Muon for the groups with ``muon=True``, Adam for the others."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        """Groups come from ``muon_groups``; each needs ``lr`` and ``muon``."""
        super().__init__(groups, {"lr": 1e-3, "momentum": 0.95, "betas": (0.9, 0.99), "muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update; the closure is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            ready = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["muon"]:
                self._matrix_step(ready, group)
            else:
                for parameter in ready:
                    update = self._adam_update(parameter, parameter.grad, group)
                    parameter.add_(update, alpha=-group["lr"])

    def _matrix_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Matrices of one shape go through Newton-Schulz together: one call instead of dozens of tiny
        ones.
        """
        alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            alike[parameter.size(0), parameter[0].numel()].append(parameter)
        for shape, members in alike.items():
            updates = orthogonalised(torch.stack([self._nesterov(p, group).reshape(shape) for p in members]))
            # Scaled so that its root mean square is about 0.2, as an Adam update's is.
            scale = 0.2 * max(shape) ** 0.5
            for parameter, update in zip(members, updates, strict=True):
                parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"] * scale)

    def _nesterov(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        gradient = parameter.grad
        assert gradient is not None
        momentum.lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(momentum, group["momentum"])

    def _adam_update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        if "step" not in state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].lerp_(gradient.square(), 1 - beta2)
        mean = state["mean"] / (1 - beta1 ** state["step"])
        deviation = (state["square"] / (1 - beta2 ** state["step"])).sqrt()
        update: Tensor = mean / (deviation + 1e-8)
        return update


def muon_groups(
    model: nn.Module, matrix_lr: float, other_lr: float, skip: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Parameter groups: matrices and convolutions to Muon; biases, norms, embeddings and ``skip`` to Adam."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_matrix = parameter.ndim >= 2 and "embed" not in name and not any(part in name for part in skip)
            (matrices if is_matrix else others).append(parameter)
    return [
        {"params": matrices, "lr": matrix_lr, "base_lr": matrix_lr, "muon": True},
        {"params": others, "lr": other_lr, "base_lr": other_lr, "muon": False},
    ]
