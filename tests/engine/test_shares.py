import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.engine.shares import Shares


def test_owners_start_level() -> None:
    assert Shares().debts(["a", "b"]) == {"a": 0.0, "b": 0.0}


def test_a_pass_is_charged_by_rows() -> None:
    shares = Shares()
    shares.debts(["a", "b", "c"])
    shares.charge({"a": 3, "b": 1})
    assert shares.debts(["a", "b", "c"]) == {"a": 0.75, "b": 0.25, "c": 0.0}


def test_a_newcomer_starts_level_with_the_one_who_has_had_the_fewest() -> None:
    shares = Shares()
    shares.debts(["a", "b"])
    for _ in range(10):
        shares.charge({"a": 2})
    shares.charge({"b": 2})
    assert shares.debts(["a", "b", "late"]) == {"a": 9.0, "b": 0.0, "late": 0.0}


def test_idling_earns_nothing() -> None:
    shares = Shares()
    shares.debts(["a", "b"])
    shares.debts(["a"])
    for _ in range(10):
        shares.charge({"a": 1})
    assert shares.debts(["a", "b"]) == {"a": 0.0, "b": 0.0}


@given(passes=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 8), min_size=1), max_size=50))
def test_somebody_is_always_without_debt(passes: list[dict[str, int]]) -> None:
    shares = Shares()
    shares.debts("abc")
    for one in passes:
        shares.charge(one)
        debts = shares.debts("abc")
        assert min(debts.values()) == pytest.approx(0.0)
        assert sum(debts.values()) <= len(passes) * 2
