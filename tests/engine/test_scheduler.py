from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from underpaint.engine.scheduler import (
    ALIKE,
    LOAD_COST,
    STRETCH,
    TURNS,
    Candidate,
    PassSeconds,
    plan,
    unknown,
)

ORDINARY = 1
"""A turn that goes to the most urgent job."""
PATIENT = TURNS
"""A turn that goes to the job that has waited longest."""


def choose(
    candidates: list[Candidate], *, max_rows: int = 8, turn: int = ORDINARY, seconds: PassSeconds = unknown
) -> list[str]:
    """`plan` where all groups have one limit."""
    return plan(candidates, turn=turn, row_limit=lambda _: max_rows, seconds=seconds)


def candidate(job_id: str = "job", **more: Any) -> Candidate:
    usual = Candidate(job_id=job_id, group="a", rows=2, forwards_left=10)
    return replace(usual, **more)


@st.composite
def crowds(draw: st.DrawFn) -> list[Candidate]:
    """Unfinished jobs, the models of whose groups are loaded or not."""
    loaded = draw(st.fixed_dictionaries({group: st.booleans() for group in "abc"}))
    crowd = []
    for number in range(draw(st.integers(0, 12))):
        group = draw(st.sampled_from("abc"))
        decodes = draw(st.sampled_from([False, False, False, True]))
        crowd.append(
            Candidate(
                job_id=f"job {number}",
                group=group,
                rows=draw(st.integers(1, 2)),
                forwards_left=1 if decodes else draw(st.integers(1, 100)),
                forwards=draw(st.integers(0, 100)),
                decodes=decodes,
                passes_waited=draw(st.integers(0, 500)),
                owner_debt=draw(st.floats(0, 50)),
                loaded=loaded[group],
            )
        )
    return crowd


CROWDS = crowds()
TURN = st.integers(0, 20)


@given(crowd=CROWDS, max_rows=st.integers(1, 10), turn=TURN)
def test_a_pass_is_of_one_group_within_the_limit_and_never_empty(
    crowd: list[Candidate], max_rows: int, turn: int
) -> None:
    chosen = choose(crowd, max_rows=max_rows, turn=turn)
    known = {one.job_id: one for one in crowd}
    assert bool(chosen) == bool(crowd)
    assert len(set(chosen)) == len(chosen)
    assert len({known[job_id].group for job_id in chosen}) <= 1
    assert sum(known[job_id].rows for job_id in chosen) <= max_rows or len(chosen) == 1


@given(crowd=CROWDS, max_rows=st.integers(2, 10), turn=TURN)
def test_no_place_is_left_empty_that_a_job_of_the_group_could_take(
    crowd: list[Candidate], max_rows: int, turn: int
) -> None:
    chosen = choose(crowd, max_rows=max_rows, turn=turn)
    known = {one.job_id: one for one in crowd}
    free = max_rows - sum(known[job_id].rows for job_id in chosen)
    if not chosen or known[chosen[0]].decodes:
        return
    left_out = [one for one in crowd if one.job_id not in chosen and not one.decodes]
    assert not [one for one in left_out if one.group == known[chosen[0]].group and one.rows <= free]


@given(crowd=CROWDS, max_rows=st.integers(1, 10), turn=TURN)
def test_a_picture_is_decoded_by_itself(crowd: list[Candidate], max_rows: int, turn: int) -> None:
    chosen = choose(crowd, max_rows=max_rows, turn=turn)
    decoding = {one.job_id for one in crowd if one.decodes}
    assert len(chosen) <= 1 or not decoding.intersection(chosen)


@given(crowd=CROWDS, turn=TURN)
def test_the_same_crowd_gives_the_same_pass(crowd: list[Candidate], turn: int) -> None:
    assert choose(crowd, turn=turn) == choose([replace(one) for one in crowd], turn=turn)


def test_the_shortest_goes_first_and_equals_in_order_of_arrival() -> None:
    crowd = [
        candidate("long", forwards_left=40, group="a"),
        candidate("short", forwards_left=4, group="b"),
        candidate("as short", forwards_left=4, group="c"),
    ]
    assert choose(crowd) == ["short"]


def test_a_short_job_goes_before_the_last_passes_of_a_long_one_and_not_of_one_like_it() -> None:
    short = candidate("short", forwards_left=4, forwards=4, group="a")
    long = candidate("long", forwards_left=2, forwards=50, group="b")
    assert choose([long, short]) == ["short"]
    assert choose([replace(long, forwards=6), short]) == ["long"]
    # A sampler of second order has more passes than steps.
    assert choose([replace(long, forwards_left=3, forwards=2), short]) == ["long"]


def test_a_short_job_goes_before_the_decoding_of_a_long_one_and_is_decoded_itself() -> None:
    crowd = [
        candidate("long", forwards_left=1, forwards=51, decodes=True),
        candidate("short", forwards_left=5, forwards=5),
    ]
    assert choose(crowd) == ["short"]
    crowd[1] = replace(crowd[1], forwards_left=1, decodes=True)
    assert choose(crowd) == ["short"]
    # It is done before the next long job's pass, and not behind all that come.
    crowd[1] = candidate("next", forwards_left=51, forwards=51)
    assert choose(crowd) == ["long"]


def test_a_job_that_needs_more_rows_than_there_are_runs_alone() -> None:
    assert choose([candidate("first", rows=2), candidate("second", rows=1)], max_rows=1) == ["first"]


def test_small_jobs_fill_the_place_that_a_larger_one_does_not_fit_into() -> None:
    crowd = [
        candidate("leader", rows=2, forwards_left=1),
        candidate("too large", rows=2, forwards_left=2),
        candidate("fits", rows=1, forwards_left=3),
    ]
    assert choose(crowd, max_rows=3) == ["leader", "fits"]


def test_the_limit_is_that_of_the_leaders_group() -> None:
    crowd = [candidate(group, group=group, forwards_left=left) for group, left in (("a", 2), ("b", 1))]
    crowd += [candidate("more " + group, group=group) for group in "ab"]
    limits = {"a": 4, "b": 2}
    assert plan(crowd, turn=ORDINARY, row_limit=lambda group: limits[str(group)]) == ["b"]
    assert plan(crowd[::2], turn=ORDINARY, row_limit=lambda group: limits[str(group)]) == ["a", "more a"]


def _by_the_row(_group: object, rows: int) -> float:
    """Seconds of a pass where batches gain nothing."""
    return rows / 10


def test_long_jobs_do_not_make_the_passes_of_a_short_one_longer() -> None:
    crowd = [candidate("long", forwards_left=50), candidate("short", forwards_left=4)]
    assert choose(crowd, seconds=_by_the_row) == ["short"]
    # Its last pass neither; but a device on which places in a batch cost next to nothing is not left empty.
    crowd[1] = replace(crowd[1], forwards_left=1)
    assert choose(crowd, seconds=_by_the_row) == ["short"]
    crowd[1] = replace(crowd[1], forwards_left=4)
    assert choose(crowd, seconds=lambda group, rows: 0.2 + rows / 100) == ["short", "long"]
    assert choose(crowd, seconds=lambda group, rows: None) == ["short", "long"]


def test_jobs_that_are_alike_share_their_passes_whatever_a_place_costs() -> None:
    crowd = [candidate("long", forwards_left=ALIKE * 6), candidate("short", forwards_left=6)]
    assert choose(crowd, seconds=_by_the_row) == ["short", "long"]


def test_a_short_job_takes_part_in_the_pass_of_one_that_has_waited() -> None:
    crowd = [candidate("long", forwards_left=50, passes_waited=9), candidate("short", forwards_left=4)]
    assert choose(crowd, seconds=_by_the_row, turn=PATIENT) == ["long", "short"]


@given(crowd=CROWDS, max_rows=st.integers(2, 10), turn=TURN)
def test_whoever_leads_is_done_hardly_later_for_longer_company(
    crowd: list[Candidate], max_rows: int, turn: int
) -> None:
    chosen = [
        one
        for job_id in choose(crowd, max_rows=max_rows, turn=turn, seconds=_by_the_row)
        for one in crowd
        if one.job_id == job_id
    ]
    for leader, *company in [chosen] if chosen else []:
        longer = sum(one.rows for one in company if one.size > ALIKE * leader.size)
        assert longer <= STRETCH * leader.rows


def test_who_has_had_more_waits_for_who_has_had_less() -> None:
    crowd = [
        candidate("of the busy owner", group="a", forwards_left=5, owner_debt=20.0),
        candidate("of the other", group="b", forwards_left=20),
    ]
    assert choose(crowd) == ["of the other"]


def test_one_turn_in_so_many_is_for_the_job_that_has_waited_longest() -> None:
    crowd = [
        candidate("short", group="a", forwards_left=1),
        candidate("patient", group="b", forwards_left=90, passes_waited=7),
        candidate("less patient", group="c", forwards_left=50, passes_waited=6),
    ]
    led = [choose(crowd, turn=turn) for turn in range(2 * TURNS)]
    assert led.count(["patient"]) == 2
    assert led.count(["short"]) == 2 * TURNS - 2


def test_a_short_job_is_not_held_up_by_one_that_has_hardly_waited() -> None:
    crowd = [
        candidate("short", group="a", forwards_left=3, passes_waited=0),
        candidate("long", group="b", forwards_left=50, passes_waited=TURNS - 2),
    ]
    assert choose(crowd, turn=PATIENT) == ["short"]
    crowd[1] = replace(crowd[1], passes_waited=TURNS - 1)
    assert choose(crowd, turn=PATIENT) == ["long"]


def test_a_model_is_not_swapped_for_a_job_that_is_a_little_shorter() -> None:
    ready = candidate("ready", forwards_left=LOAD_COST, group="loaded")
    shorter = candidate("shorter", forwards_left=1, group="not loaded", loaded=False)
    assert choose([shorter, ready]) == ["ready"]


def test_a_model_is_swapped_in_for_a_job_that_has_waited() -> None:
    ready = candidate("ready", forwards_left=20, group="loaded")
    waiting = candidate("waiting", forwards_left=20, group="not loaded", loaded=False)
    for waited, chosen in ((LOAD_COST - 1, "ready"), (LOAD_COST, "waiting")):
        assert choose([replace(waiting, passes_waited=waited), ready], turn=PATIENT) == [chosen]


def test_where_no_model_is_loaded_somebody_still_goes_first() -> None:
    crowd = [candidate("long", loaded=False), candidate("short", loaded=False, group="b", forwards_left=2)]
    for turn in (ORDINARY, PATIENT):
        assert choose(crowd, turn=turn) == ["short"]


@dataclass
class Execution:
    """Passes run one after the other, with one model loaded at a time, as in an engine of the smallest memory, or with
    all of them.
    """

    max_rows: int
    jobs: list[Candidate]
    passes: int = 0
    loads: int = 0
    loaded: object = None
    keeps_models: bool = False

    def run_pass(self) -> None:
        self.jobs = [replace(job, loaded=self.keeps_models or job.group == self.loaded) for job in self.jobs]
        chosen = choose(self.jobs, max_rows=self.max_rows, turn=self.passes)
        self.passes += 1
        left = []
        for job in self.jobs:
            if job.job_id not in chosen:
                left.append(replace(job, passes_waited=job.passes_waited + 1))
            else:
                self.loads += job.group != self.loaded
                self.loaded = job.group
                if job.forwards_left > 1:
                    left.append(replace(job, forwards_left=job.forwards_left - 1, passes_waited=0))
        self.jobs = left


@given(crowd=CROWDS, max_rows=st.integers(1, 10))
def test_every_crowd_is_finished_without_an_idle_pass(crowd: list[Candidate], max_rows: int) -> None:
    execution = Execution(max_rows, crowd)
    work = sum(job.forwards_left for job in crowd)
    while execution.jobs:
        execution.run_pass()
        assert execution.passes <= work


@given(crowd=CROWDS)
def test_models_are_swapped_seldom(crowd: list[Candidate]) -> None:
    execution = Execution(8, [replace(job, passes_waited=0) for job in crowd])
    while execution.jobs:
        execution.run_pass()
    groups = len({job.group for job in crowd})
    # Each group once, and then only for jobs that waited for as long as a load costs.
    assert execution.loads <= groups + 2 * execution.passes * groups / LOAD_COST


@given(forwards=st.integers(10, 60), short=st.integers(1, 4), pause=st.integers(0, 4))
def test_a_long_job_is_finished_though_short_ones_keep_coming(forwards: int, short: int, pause: int) -> None:
    """Short jobs of another model that fill a pass each arrive for ever; without a pause between them, as many as the
    engine could finish if it did nothing else.
    """
    execution = Execution(8, [candidate("long", group="long", forwards_left=forwards)], loaded="short")
    # At the worst the queue of short ones grows by one for each pass of the long one, whose turn comes when it has
    # waited longer than they have.
    bound = forwards * (LOAD_COST + 2 * TURNS + forwards * short)
    while any(job.job_id == "long" for job in execution.jobs):
        if execution.passes % (short + pause) == 0:
            execution.jobs.append(
                candidate(f"short {execution.passes}", group="short", rows=8, forwards_left=short)
            )
        execution.run_pass()
        assert execution.passes <= bound


def test_a_short_job_overtakes_a_long_one_that_is_under_way() -> None:
    execution = Execution(8, [candidate("long", group="a", forwards_left=90)], loaded="a")
    for _ in range(TURNS + 1):
        execution.run_pass()
    execution.jobs.append(candidate("short", group="a", rows=8, forwards_left=2))
    for _ in range(2):
        execution.run_pass()
    assert [job.job_id for job in execution.jobs] == ["long"]


@given(begin=st.integers(0, TURNS), forwards=st.integers(1, 12))
def test_a_short_job_loses_one_pass_in_so_many_and_the_long_one_waits_for_two_turns_at_most(
    begin: int, forwards: int
) -> None:
    execution = Execution(8, [candidate("long", group="long", forwards_left=90)], keeps_models=True)
    for _ in range(begin):
        execution.run_pass()
    execution.jobs.append(candidate("short", group="short", rows=8, forwards_left=forwards))
    waited = 0
    while any(job.job_id == "short" for job in execution.jobs):
        execution.run_pass()
        waited = max(waited, *(job.passes_waited for job in execution.jobs if job.job_id == "long"))
    assert execution.passes - begin - forwards <= (forwards - 1) // (TURNS - 1)
    assert waited <= 2 * (TURNS - 1)
