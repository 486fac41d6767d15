"""A UNet's forward pass in OpenVINO, which on a CPU takes less time for it than PyTorch does.

docs/decisions/015 has the figures, and why not torch.compile. A compiled form can be written to a file and read back,
in another process too, which spares the conversion.
"""

import hashlib
import json
import mmap
import sys
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from underpaint.files import replace_file

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}
"""That it can compute in, and what it calls them."""
FORMAT = 1
_FREE_DIMENSIONS = {"sample": (0, 2, 3), "encoder_hidden_states": (0, 1)}
"""Dimensions that differ from pass to pass, by input; of others, the first: rows."""
_LONGEST_HEADER = 10_000


class OpenVinoMissing(RuntimeError):
    """The package is not installed."""


class NotCompiled(RuntimeError):
    """A file holds no compiled form that can be used here."""


class CompiledPassFailed(RuntimeError):
    """The compiled form could not run a pass, which PyTorch may well run."""


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
        raise OpenVinoMissing("OpenVINO is not installed (pip install 'underpaint[openvino]')") from None
    return openvino


class OpenVinoUnet:
    """Called as the UNet of diffusers is, with inputs on the CPU in float32. Any rows, sizes and tokens.

    A row's prediction is the same to the byte whatever rows are beside it, and however many.
    """

    def __init__(self, compiled: Any, names: tuple[str, ...], *, precision: torch.dtype) -> None:
        """Take a compiled model; see `compile` and `read`.

        Args:
            compiled: OpenVINO's.
            names: of its inputs, in their order.
            precision: in which it computes.
        """
        self.precision = precision
        self._compiled = compiled
        self._names = names
        self._request = compiled.create_infer_request()

    @classmethod
    def compile(cls, unet: nn.Module, example: Mapping[str, Any], *, precision: torch.dtype) -> Self:
        """Convert and compile; takes seconds for a small UNet, and as much memory as its weights.

        Args:
            unet: one of diffusers', on the CPU in float32. It is not changed.
            example: inputs that it takes, by name; which there are, and of what widths, holds for all calls. For calls
                with latents of any size, those of the example must not be divisible by what the UNet divides them by.
            precision: float32, or bfloat16 for processors that compute in it.

        Raises:
            OpenVinoMissing: the package is not installed.
            RuntimeError: it cannot run this UNet.
        """
        openvino = require_openvino()
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        inputs = _flattened(example)
        names = tuple(inputs)
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
                _ByPosition(unet, names), example_input=tuple(inputs.values()), input=shapes
            )
        compiled = openvino.Core().compile_model(converted, "CPU", _configuration(precision))
        return cls(compiled, names, precision=precision)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` has written, in a fraction of the time that compiling takes.

        Raises:
            OpenVinoMissing: the package is not installed.
            NotCompiled: there is no such file, it is damaged, or of another version or processor.
        """
        openvino = require_openvino()
        import numpy as np

        try:
            with path.open("rb") as file:
                header = json.loads(file.readline(_LONGEST_HEADER))
                begin = file.tell()
                # Mapped, not read: the weights in it need not be in memory twice.
                content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)[
                    begin:
                ]
            if header["format"] != FORMAT or header["digest"] != _digest(content):
                raise NotCompiled(f"{path.name} is damaged")
            precision = next(dtype for dtype, name in PRECISIONS.items() if name == header["precision"])
            names = tuple(header["names"])
            compiled = openvino.Core().import_model(
                openvino.Tensor(content, shared_memory=True), "CPU", _configuration(precision)
            )
        except (OSError, ValueError, KeyError, TypeError, StopIteration, RuntimeError) as failure:
            raise NotCompiled(f"{path.name} cannot be used: {failure}") from failure
        read = cls(compiled, names, precision=precision)
        read._content = content
        return read

    _content: Any = None
    """Of the file that it was read from, to which the compiled model may refer."""

    def write(self, path: Path) -> None:
        """Write it to a file, about as large as the weights in float32.

        Raises:
            OSError: it cannot be written.
        """
        exported = BytesIO()
        self._compiled.export_model(exported)
        header = {
            "format": FORMAT,
            "precision": PRECISIONS[self.precision],
            "names": self._names,
            "digest": _digest(exported.getbuffer()),
        }
        parts = (json.dumps(header).encode() + b"\n", exported.getbuffer())
        # A power cut may leave a damaged one, which its digest tells.
        replace_file(path, parts, flush=False, mode=0o600)

    def __call__(self, **given_inputs: Any) -> tuple[Tensor]:
        """The prediction, of the shape of `sample`.

        Raises:
            CompiledPassFailed: it cannot run this one, or there is no memory for it.
        """
        inputs = _flattened(given_inputs)
        given = [inputs[name].float().contiguous().numpy() for name in self._names]
        try:
            [predicted] = self._request.infer(given, share_inputs=True).values()
        except RuntimeError as failure:
            raise CompiledPassFailed(str(failure)) from failure
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


def _configuration(precision: torch.dtype) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # The cores are for others too, and for other engines.
        "ENABLE_CPU_PINNING": False,
    }


def _flattened(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors by name, those of `added_cond_kwargs` among them, without what is not given."""
    flat = {**inputs, **(inputs.get("added_cond_kwargs") or {})}
    return {name: value for name, value in flat.items() if isinstance(value, Tensor)}


def _digest(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
