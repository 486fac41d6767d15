from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.engine.estimates import seconds_left
from underpaint.engine.scheduler import LOAD_COST, Candidate


def job(
    job_id: str, forwards_left: int, *, group: str = "a", rows: int = 2, loaded: bool = True
) -> Candidate:
    return Candidate(job_id=job_id, group=group, rows=rows, forwards_left=forwards_left, loaded=loaded)


def estimate(*candidates: Candidate, row_limit: int = 8) -> dict[str, float]:
    """With passes of a tenth of a second for each row."""
    return seconds_left(candidates, row_limit=lambda _: row_limit, pass_seconds=lambda _, rows: rows / 10)


def test_a_job_alone_takes_its_passes() -> None:
    assert estimate(job("only", 10)) == {"only": pytest.approx(2.0)}


def test_jobs_of_a_group_run_together_until_the_shorter_is_done() -> None:
    assert estimate(job("short", 4), job("long", 10)) == {
        "short": pytest.approx(4 * 0.4),
        "long": pytest.approx(4 * 0.4 + 6 * 0.2),
    }


def test_jobs_of_different_groups_run_one_after_the_other_the_shorter_first() -> None:
    assert estimate(job("long", 10, group="b"), job("short", 4)) == {
        "short": pytest.approx(0.8),
        "long": pytest.approx(2.8),
    }


def test_a_picture_that_is_to_be_decoded_takes_a_pass_of_its_own() -> None:
    decoding = replace(job("decoding", 1), decodes=True)
    assert estimate(decoding, job("running", 4)) == {
        "decoding": pytest.approx(0.2),
        "running": pytest.approx(0.2 + 4 * 0.2),
    }


def test_a_model_that_is_not_loaded_takes_its_time_once() -> None:
    ends = estimate(job("first", 1, loaded=False), job("second", 2, loaded=False), row_limit=2)
    assert ends == {
        "first": pytest.approx(LOAD_COST * 0.2 + 0.2),
        "second": pytest.approx(LOAD_COST * 0.2 + 0.2 + 0.4),
    }


def test_nothing_is_claimed_of_passes_that_were_never_measured() -> None:
    candidates = [job("known", 4), job("unknown", 10, group="b")]
    ends = seconds_left(
        candidates,
        row_limit=lambda _: 8,
        pass_seconds=lambda group, rows: rows / 10 if group == "a" else None,
    )
    assert ends == {"known": pytest.approx(0.8)}


@given(
    crowd=st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from("abc"), st.integers(1, 2)), min_size=1, max_size=20
    ),
    row_limit=st.integers(2, 8),
)
def test_every_job_has_an_end_and_the_last_is_no_later_than_all_work_one_by_one(
    crowd: list[tuple[int, str, int]], row_limit: int
) -> None:
    candidates = [job(str(n), left, group=group, rows=rows) for n, (left, group, rows) in enumerate(crowd)]
    ends = estimate(*candidates, row_limit=row_limit)
    assert set(ends) == {candidate.job_id for candidate in candidates}
    alone = sum(candidate.forwards_left * candidate.rows / 10 for candidate in candidates)
    assert max(ends.values()) <= alone + 1e-9
    for candidate in candidates:
        assert ends[candidate.job_id] >= candidate.forwards_left * candidate.rows / 10 - 1e-9
