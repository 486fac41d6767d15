"""The header of a safetensors file: which tensors it holds, checked against the file's size.

The format: eight bytes, little-endian, say how long the header is; the header is a JSON object from tensor
names to `dtype`, `shape` and `data_offsets`, with an optional `__metadata__` object of strings; the data
follows without gaps (https://github.com/huggingface/safetensors, "Format").
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from underpaint.catalog.errors import ModelRefused

MAX_HEADER_BYTES = 16 * 2**20
"""The largest published checkpoints have headers of well under a megabyte."""
MAX_DIMENSIONS = 16

_ELEMENT_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How torch's pickled checkpoints begin: a zip archive, or a bare pickle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """One tensor as the header describes it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SafetensorsHeader:
    """What a file holds."""

    tensors: Mapping[str, TensorSpec]
    metadata: Mapping[str, str]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of a file, whatever the file is called.

    Raises:
        ModelRefused: it is not a complete safetensors file: the header is malformed or too long, tensors
            overlap or leave gaps, or the file is shorter or longer than the header says, as a download cut
            short is.
    """
    try:
        if not path.is_file():
            raise ModelRefused(f"{path} is not a file")
        with path.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            start = stream.read(8)
            if start.startswith(_PICKLE_STARTS) and int.from_bytes(start, "little") > size_bytes:
                raise ModelRefused(
                    f"{path} is a pickle, which can run code when it is opened; use a safetensors file"
                )
            header_bytes = int.from_bytes(start, "little")
            if len(start) < 8 or header_bytes > size_bytes - 8:
                raise ModelRefused(f"{path} is not a safetensors file, or it is cut short")
            if header_bytes > MAX_HEADER_BYTES:
                raise ModelRefused(
                    f"{path} has a header of {header_bytes} bytes; at most {MAX_HEADER_BYTES} are read"
                )
            text = stream.read(header_bytes)
    except OSError as failure:
        raise ModelRefused(f"{path} cannot be read: {failure.strerror}") from None
    try:
        return _header(text, size_bytes - 8 - header_bytes)
    except _Malformed as failure:
        raise ModelRefused(f"{path} is not a complete safetensors file: {failure}") from None


class _Malformed(ValueError):
    """The header breaks a rule of the format."""


def _header(text: bytes, data_bytes: int) -> SafetensorsHeader:
    try:
        content = json.loads(text.decode(), object_pairs_hook=_unique_names)
    except _Malformed:
        raise
    except (ValueError, RecursionError):
        raise _Malformed("its header is not JSON") from None
    if not isinstance(content, dict):
        raise _Malformed("its header is not an object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Malformed("its metadata is not an object of strings")
    tensors: dict[str, TensorSpec] = {}
    spans: list[tuple[int, int]] = []
    for name, described in content.items():
        tensors[name], span = _tensor(name, described)
        spans.append(span)
    end_before = 0
    for begin, end in sorted(spans):
        if begin != end_before:
            raise _Malformed("its tensors overlap or leave a gap")
        end_before = end
    if end_before != data_bytes:
        raise _Malformed(f"its header describes {end_before} bytes of data, and there are {data_bytes}")
    return SafetensorsHeader(tensors=tensors, metadata=metadata)


def _tensor(name: str, described: Any) -> tuple[TensorSpec, tuple[int, int]]:
    match described:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]} if len(described) == 3:
            pass
        case _:
            raise _Malformed(f"tensor {name[:80]!r} lacks its dtype, shape or data_offsets")
    if dtype not in _ELEMENT_BITS:
        raise _Malformed(f"tensor {name[:80]!r} has the unknown dtype {dtype[:20]!r}")
    if len(shape) > MAX_DIMENSIONS or not all(map(_is_size, (*shape, begin, end))):
        raise _Malformed(f"tensor {name[:80]!r} has an impossible shape or place")
    if 8 * (end - begin) != math.prod(shape) * _ELEMENT_BITS[dtype]:
        raise _Malformed(f"tensor {name[:80]!r} has a shape that does not fit its place")
    return TensorSpec(dtype=dtype, shape=tuple(shape)), (begin, end)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _Malformed("its header gives a name twice")
    return unique
