"""A UNet's forward pass in OpenVINO, which on a CPU takes less time for it than PyTorch does.

docs/decisions/015 has the figures, and why not torch.compile.
"""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_FREE_DIMENSIONS = {"sample": (0, 2, 3), "encoder_hidden_states": (0, 1)}
"""Dimensions that differ from pass to pass, by input; of others, the first: rows."""


class OpenVinoMissing(RuntimeError):
    """The package is not installed."""


def require_openvino() -> Any:
    """The package, without its telemetry: nothing that a user does here is told to anyone.

    Raises:
        OpenVinoMissing: it is not installed.
    """
    # A module that is None cannot be imported; OpenVINO then goes on without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise OpenVinoMissing(
            "OpenVINO is not installed: passes run in PyTorch (pip install 'underpaint[openvino]')"
        ) from None
    return openvino


class OpenVinoUnet:
    """Called as the UNet of diffusers is, with inputs on the CPU in float32. Any rows, sizes and tokens."""

    def __init__(self, unet: nn.Module, example: Mapping[str, Any], *, precision: torch.dtype) -> None:
        """Convert and compile; takes seconds for a small UNet, and as much memory as its weights.

        Args:
            unet: one of diffusers', on the CPU in float32. Shared: it is not changed.
            example: inputs that it takes, by name; which there are, and of what widths, holds for all calls.
            precision: float32, or bfloat16 for processors that compute in it.

        Raises:
            OpenVinoMissing: the package is not installed.
            RuntimeError: it cannot run this UNet.
        """
        openvino = require_openvino()
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        inputs = _flattened(example)
        self._names = tuple(inputs)
        shapes = [
            openvino.PartialShape(
                [
                    -1 if at in _FREE_DIMENSIONS.get(name, (0,)) else size
                    for at, size in enumerate(value.shape)
                ]
            )
            for name, value in inputs.items()
        ]
        with torch.no_grad():
            converted = openvino.convert_model(
                _ByPosition(unet, self._names), example_input=tuple(inputs.values()), input=shapes
            )
        compiled = openvino.Core().compile_model(
            converted,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request = compiled.create_infer_request()

    def __call__(self, **given_inputs: Any) -> tuple[Tensor]:
        """The prediction, of the shape of `sample`."""
        inputs = _flattened(given_inputs)
        given = [inputs[name].float().contiguous().numpy() for name in self._names]
        [predicted] = self._request.infer(given, share_inputs=True).values()
        # Its memory is used again for the next pass.
        return (torch.from_numpy(predicted.copy()),)


class _ByPosition(nn.Module):
    """A UNet whose inputs have places in place of names, as the conversion wants it."""

    def __init__(self, unet: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self._unet = unet
        self._names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self._names, inputs, strict=True))
        added = {name: given.pop(name) for name in ("text_embeds", "time_ids") if name in given}
        predicted: Tensor = self._unet(**given, added_cond_kwargs=added or None, return_dict=False)[0]
        return predicted


def _flattened(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors by name, those of `added_cond_kwargs` among them, without what is not given."""
    flat = {**inputs, **(inputs.get("added_cond_kwargs") or {})}
    return {name: value for name, value in flat.items() if isinstance(value, Tensor)}
