from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.engine.encodings import ByteBudgetCache


def never() -> bytes:
    raise AssertionError("made again")


def making(size: int) -> Callable[[], bytes]:
    return lambda: b"x" * size


def test_a_value_is_made_once() -> None:
    cache = ByteBudgetCache(100)
    assert cache.get_or_make(("key",), making(10), len) == b"x" * 10
    assert cache.get_or_make(("key",), never, len) == b"x" * 10
    assert (cache.hits, cache.misses) == (1, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = ByteBudgetCache(30)
    for key in "abc":
        cache.get_or_make((key,), making(10), len)
    cache.get_or_make(("a",), never, len)
    cache.get_or_make(("d",), making(10), len)
    cache.get_or_make(("a",), never, len)
    with pytest.raises(AssertionError, match="made again"):
        cache.get_or_make(("b",), never, len)


def test_what_is_larger_than_the_budget_is_not_kept_and_drives_nothing_out() -> None:
    cache = ByteBudgetCache(30)
    cache.get_or_make(("small",), making(10), len)
    assert len(cache.get_or_make(("large",), making(31), len)) == 31
    cache.get_or_make(("small",), never, len)
    assert cache.size_bytes == 10


def test_what_is_not_wanted_any_more_is_forgotten() -> None:
    cache = ByteBudgetCache(30)
    cache.get_or_make(("model a", 1), making(10), len)
    cache.get_or_make(("model b", 1), making(10), len)
    cache.forget(lambda key: key[0] == "model a")
    assert cache.size_bytes == 10
    cache.get_or_make(("model b", 1), never, len)


@given(uses=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_the_budget_always_holds(uses: list[tuple[int, int]]) -> None:
    cache = ByteBudgetCache(100)
    for key, size in uses:
        cache.get_or_make((key, size), making(size), len)
        assert cache.size_bytes <= 100
