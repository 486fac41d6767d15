import json
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from underpaint.catalog import ModelRefused
from underpaint.catalog.safetensors_header import MAX_HEADER_BYTES, TensorSpec, read_header

from .weights import write_safetensors

F16_PAIR = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}


def with_header(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_names_dtypes_and_shapes_are_read(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.safetensors", {"a": (2, 3), "b": (), "empty": (0, 4)})
    assert read_header(path).tensors == {
        "a": TensorSpec(dtype="F16", shape=(2, 3)),
        "b": TensorSpec(dtype="F16", shape=()),
        "empty": TensorSpec(dtype="F16", shape=(0, 4)),
    }


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.ckpt", {"a": (2, 3)})
    assert set(read_header(path).tensors) == {"a"}


def test_metadata_is_kept_apart_from_tensors(tmp_path: Path) -> None:
    path = with_header(tmp_path / "m", {"__metadata__": {"format": "pt"}, "a": F16_PAIR}, b"1234")
    header = read_header(path)
    assert (set(header.tensors), header.metadata) == ({"a"}, {"format": "pt"})


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_safetensors(tmp_path / "whole", {"a": (2, 3), "b": (4,)}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(ModelRefused, match=r"cut short|not a complete"):
            read_header(tmp_path / "part")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_named_safetensors_is_called_a_pickle(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1.0] * 50}, protocol))
    with pytest.raises(ModelRefused, match="is a pickle"):
        read_header(path)


def test_a_torch_zip_archive_named_safetensors_is_called_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    with pytest.raises(ModelRefused, match="is a pickle"):
        read_header(path)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ([], b""),
        ({"a": 1}, b""),
        ({"a": {"dtype": "F16", "shape": [2]}}, b"1234"),
        ({"a": F16_PAIR | {"more": 1}}, b"1234"),
        ({"a": F16_PAIR | {"dtype": "F1024"}}, b"1234"),
        ({"a": F16_PAIR | {"shape": [-2]}}, b"1234"),
        ({"a": F16_PAIR | {"shape": [2.0]}}, b"1234"),
        ({"a": F16_PAIR | {"shape": [True, 2]}}, b"1234"),
        ({"a": F16_PAIR | {"shape": [1] * 17}}, b"12"),
        ({"a": F16_PAIR | {"shape": [10**4000]}}, b"1234"),
        ({"a": F16_PAIR | {"shape": [3]}}, b"1234"),
        ({"a": F16_PAIR | {"data_offsets": [4, 0]}}, b"1234"),
        ({"a": F16_PAIR}, b"12345"),
        ({"a": F16_PAIR, "b": F16_PAIR}, b"1234"),
        ({"a": F16_PAIR, "b": F16_PAIR | {"data_offsets": [6, 10]}}, b"1234567890"),
        ({"__metadata__": {"steps": 3}}, b""),
        (b'{"a": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}, "a": 1}', b""),
        (b"[" * 100_000, b""),
        (b'{"a": ' + b"9" * 5000 + b"}", b""),
        (b"\xff\xfe", b""),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(tmp_path: Path, header: object, data: bytes) -> None:
    path = with_header(tmp_path / "model.safetensors", header, data)
    with pytest.raises(ModelRefused, match="not a complete safetensors file"):
        read_header(path)


def test_a_header_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as stream:
        stream.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        stream.truncate(MAX_HEADER_BYTES + 100)
    with pytest.raises(ModelRefused, match="at most"):
        read_header(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="not a file"):
        read_header(tmp_path)
    with pytest.raises(ModelRefused, match="not a file"):
        read_header(tmp_path / "missing")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
tensor_like = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "F32", "F4", "U8", "X"]) | json_values,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | json_values,
        "data_offsets": st.tuples(st.integers(-1, 40), st.integers(-1, 40)).map(list) | json_values,
    }
)
headers = st.dictionaries(st.text(max_size=3), tensor_like | json_values, max_size=3) | json_values


@given(st.binary(max_size=200))
@example(b"")
@example(b"PK\x03\x04")
@example((2**64 - 1).to_bytes(8, "little"))
def test_no_bytes_lead_to_anything_but_a_refusal_or_a_header(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "model.safetensors"
    path.write_bytes(content)
    _read_or_refuse(path)


@given(header=headers, data_bytes=st.integers(0, 40))
def test_no_json_leads_to_anything_but_a_refusal_or_a_header_that_adds_up(
    tmp_path_factory: pytest.TempPathFactory, header: Any, data_bytes: int
) -> None:
    path = with_header(tmp_path_factory.mktemp("json") / "model.safetensors", header, bytes(data_bytes))
    _read_or_refuse(path)


def _read_or_refuse(path: Path) -> None:
    with suppress(ModelRefused):
        header = read_header(path)
        assert all(size >= 0 for spec in header.tensors.values() for size in spec.shape)
