"""A state comes back from its bytes as it was, or not at all."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from underpaint.diffusion.plain_state import DamagedState, PlainState

STATE = {
    "numbers": [1, -2.5, float("inf"), True, None, "é\ud800"],
    "nested": ({"tensor": torch.arange(6, dtype=torch.float64).reshape(2, 3).T}, []),
    "empty": torch.zeros(0, 3),
    "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "array": np.arange(4, dtype=np.int64)[::2],
    "scalar": np.float32(0.1),
}


def test_every_kind_of_value_comes_back() -> None:
    back = PlainState.from_bytes(PlainState.of(STATE).to_bytes()).value()
    assert back["numbers"] == STATE["numbers"]
    assert torch.equal(back["nested"][0]["tensor"], torch.tensor([[0.0, 3], [1, 4], [2, 5]]).double())
    assert back["nested"][1] == []
    assert back["empty"].shape == (0, 3)
    assert back["half"].dtype == torch.bfloat16
    assert back["half"].view(torch.int16).tolist() == STATE["half"].view(torch.int16).tolist()  # type: ignore[attr-defined]
    assert back["array"].dtype == np.int64
    assert back["array"].tolist() == [0, 2]
    assert type(back["scalar"]) is np.float32
    assert back["scalar"] == np.float32(0.1)


def test_it_is_a_copy() -> None:
    tensor = torch.zeros(3)
    state = PlainState.of([tensor, tensor[:2]])
    tensor += 1
    assert [each.sum().item() for each in state.value()] == [0, 0]


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": [lambda: None]}, torch.nn.Linear(1, 1), 1j])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        PlainState.of(value)


@given(data=st.data())
def test_no_damage_goes_unnoticed(data: st.DataObject) -> None:
    whole = PlainState.of(STATE).to_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.integers(1, 255))
    changed = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
    for damaged in (changed, whole[:place], whole + b"x"):
        with pytest.raises(DamagedState):
            PlainState.from_bytes(damaged)


@pytest.mark.parametrize("body", [b"", b"{}", struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 2**60) + b"{}"])
def test_what_is_no_state_is_refused_even_with_a_good_digest(body: bytes) -> None:
    from underpaint.diffusion.plain_state import _digest

    with pytest.raises(DamagedState):
        PlainState.from_bytes(_digest(body) + body)
