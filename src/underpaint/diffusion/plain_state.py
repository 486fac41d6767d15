"""The state of a trajectory as bytes: plain values and tensors in one safetensors file, with a digest before it.

Nothing in it can run anything when it is read, unlike a pickle.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

_DIGEST_BYTES = 32
_METADATA = "underpaint"


class DamagedState(ValueError):
    """The bytes are not those that were written."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainState:
    """A copy of a state, which does not change with it any more."""

    structure: Any
    """What JSON can hold, with references to the tensors."""
    tensors: Mapping[str, Tensor]
    """Contiguous, on the CPU, each with memory of its own."""

    @classmethod
    def of(cls, value: object) -> "PlainState":
        """Copy a value made of None, numbers, strings, tensors, NumPy arrays and scalars, and lists, tuples and
        dictionaries (with strings as keys) of these.

        Raises:
            TypeError: there is something else in it.
        """
        tensors: dict[str, Tensor] = {}

        def reference(tensor: Tensor) -> str:
            name = str(len(tensors))
            tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
            return name

        def flat(value: object) -> Any:
            match value:
                # NumPy's float is a Python float too.
                case np.generic():
                    return {"scalar": reference(torch.from_numpy(np.array(value)))}
                case None | bool() | int() | float() | str():
                    return value
                case Tensor():
                    return {"tensor": reference(value), "device": str(value.device)}
                case np.ndarray():
                    return {"array": reference(torch.from_numpy(np.ascontiguousarray(value)))}
                case list():
                    return {"list": [flat(each) for each in value]}
                case tuple():
                    return {"tuple": [flat(each) for each in value]}
                case dict() if all(isinstance(key, str) for key in value):
                    return {"dict": {key: flat(each) for key, each in value.items()}}
                case _:
                    raise TypeError(f"a {type(value).__name__} cannot be kept")

        return cls(structure=flat(value), tensors=tensors)

    def value(self) -> Any:
        """The value, with every tensor on the device that it was on."""

        def built(flat: Any) -> Any:
            if not isinstance(flat, dict):
                return flat
            match next(iter(flat.items())):
                case "scalar", name:
                    return self.tensors[name].numpy()[()]
                case "tensor", name:
                    return self.tensors[name].to(flat["device"])
                case "array", name:
                    return self.tensors[name].numpy()
                case "list", items:
                    return [built(each) for each in items]
                case "tuple", items:
                    return tuple(built(each) for each in items)
                case "dict", items:
                    return {key: built(each) for key, each in items.items()}
                case kind, _:
                    raise DamagedState(f"unknown kind {kind!r}")

        return built(self.structure)

    def to_bytes(self) -> bytes:
        """All of it."""
        metadata = {_METADATA: json.dumps(self.structure)}
        data = safetensors.torch.save(dict(self.tensors), metadata=metadata)
        return _digest(data) + data

    @classmethod
    def from_bytes(cls, data: bytes) -> "PlainState":
        """What `to_bytes` made bytes of.

        Raises:
            DamagedState: it is something else, or was cut off or changed.
        """
        digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if digest != _digest(data):
            raise DamagedState("the digest does not fit")
        try:
            # Only the high-level functions read metadata, and only from files.
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            structure = json.loads(header["__metadata__"][_METADATA])
            return cls(structure=structure, tensors=safetensors.torch.load(data))
        except (ValueError, KeyError, safetensors.SafetensorError) as failure:
            raise DamagedState(str(failure)) from None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
