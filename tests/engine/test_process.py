"""The engine in its real child process, and what becomes of jobs when that process dies.

Those processes are forked, for starting as in service takes seconds of imports each; the one whose parent dies is not.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.engine.quick_processes import DEADLY, LOSING, forked_processes, quick_processes, run_mortal_worker
from underpaint.engine.messages import EngineOptions, Failed, Finished, Picture, Progress
from underpaint.engine.process import EngineProcess

from .driving import Driven, job_request, worst_difference

OPTIONS = EngineOptions(device="cpu", threads=1)
LONG = 500
"""Steps of a job that is certainly still running when its first step is reported."""


@asynccontextmanager
async def running(
    options: EngineOptions = OPTIONS, *, stall_s: float = 600.0
) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(options, stall_s=stall_s)
    await engine.start()
    try:
        async with asyncio.timeout(200):
            yield engine
    finally:
        await engine.stop()


@pytest.fixture(autouse=True)
def _started_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("underpaint.engine.process.PROCESSES", quick_processes())


def kill_engine() -> None:
    (child,) = forked_processes()
    child.send_signal(signal.SIGKILL)


class Killing:
    """Kills the engine's process when a job has taken its first step, as often as told to."""

    def __init__(self, *, times: int) -> None:
        self.left = times
        self.reports: list[Progress] = []

    def __call__(self, report: Progress) -> None:
        self.reports.append(report)
        if self.left and report.step == 1:
            self.left -= 1
            kill_engine()


async def test_jobs_go_in_and_every_step_and_the_picture_come_out(
    sd1_checkpoint: Path, photo: Picture
) -> None:
    request = job_request("painted", sd1_checkpoint, picture=photo, strength=0.5, steps=8)
    still = job_request("still", sd1_checkpoint, picture=photo, strength=0.0)
    reports: list[Progress] = []
    async with running() as engine:
        states: list[str] = [engine.state]
        painted, unchanged = engine.submit([request, still], on_progress=reports.append)
        outcome = await painted
        assert isinstance(outcome, Finished)
        states.append(engine.state)
        assert engine.device == "cpu"
        (child,) = forked_processes()
        at_once = await unchanged
        assert isinstance(at_once, Finished)
        assert at_once.picture.tobytes() == photo.tobytes()
    assert {report.step for report in reports if report.job_id == "painted"} == {0, 1, 2, 3, 4}
    assert outcome.steps_run == 4
    assert [*states, engine.state] == ["starting", "ready", "stopped"]
    assert not child.is_running()

    in_this_process = Driven()
    in_this_process.finish(request)
    assert worst_difference(outcome.picture, in_this_process.picture("painted")) <= 1


async def test_after_a_death_in_mid_run_the_job_runs_again_and_succeeds(sd1_checkpoint: Path) -> None:
    killing = Killing(times=1)
    async with running() as engine:
        killed, waiting = engine.submit(
            [
                job_request("killed", sd1_checkpoint, steps=40),
                job_request("with it", sd1_checkpoint, steps=40),
            ],
            on_progress=killing,
        )
        for job in (killed, waiting):
            outcome = await job
            assert isinstance(outcome, Finished)
            assert outcome.steps_run == 40
        assert engine.restarts == 1
    assert not killing.left


@pytest.fixture
def _mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of the guidance scale `DEADLY` kill their process."""
    monkeypatch.setattr("underpaint.engine.process.run_worker", run_mortal_worker)


@pytest.mark.usefixtures("_mortal")
async def test_a_job_that_kills_two_processes_fails_and_those_beside_it_do_not(sd1_checkpoint: Path) -> None:
    async with running() as engine:
        guidance_scales = {"first": 7.5, "deadly": DEADLY, "last": 7.5}
        first, deadly, last = engine.submit(
            [
                job_request(name, sd1_checkpoint, guidance_scale=guidance_scale)
                for name, guidance_scale in guidance_scales.items()
            ]
        )
        for innocent in (first, last):
            outcome = await innocent
            assert isinstance(outcome, Finished), outcome
            assert outcome.steps_run == 4
        culprit = await deadly
        assert isinstance(culprit, Failed)
        assert culprit.code == "crashed"
        assert engine.restarts == 2


@pytest.mark.usefixtures("_mortal")
async def test_a_job_that_got_past_where_it_died_is_no_suspect_any_more(sd1_checkpoint: Path) -> None:
    """It is there when four processes die."""
    got_past = asyncio.Event()
    async with running() as engine:

        def note(report: Progress) -> None:
            if engine.restarts == 2 and report.step > 3:
                got_past.set()

        killing = job_request("first", sd1_checkpoint, guidance_scale=DEADLY)
        deadly, long = engine.submit(
            [killing, job_request("long", sd1_checkpoint, steps=60)], on_progress=note
        )
        await got_past.wait()
        assert isinstance(await deadly, Failed)
        [also_deadly] = engine.submit([replace(killing, job_id="second")])
        assert isinstance(await also_deadly, Failed)
        outcome = await long
        assert isinstance(outcome, Finished), outcome
        assert engine.restarts == 4


@pytest.mark.usefixtures("_mortal")
async def test_while_one_suspect_is_tried_the_others_can_be_cancelled(sd1_checkpoint: Path) -> None:
    async with running() as engine:
        deadly, waiting, behind = engine.submit(
            [
                job_request("deadly", sd1_checkpoint, guidance_scale=DEADLY),
                job_request("waiting", sd1_checkpoint, steps=LONG),
                job_request("behind", sd1_checkpoint, steps=40),
            ]
        )
        assert isinstance(await deadly, Failed)
        engine.cancel(["waiting"])
        cancelled = await waiting
        assert isinstance(cancelled, Failed)
        assert cancelled.code == "cancelled"
        assert isinstance(await behind, Finished)


async def test_a_process_that_cannot_be_started_at_first_is_started_later(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = EngineProcess._spawn
    spawned: list[str] = []

    def spawning(engine: EngineProcess) -> None:
        spawned.append("tried")
        if len(spawned) in (2, 3):
            raise BlockingIOError("Resource temporarily unavailable")
        spawn(engine)

    monkeypatch.setattr(EngineProcess, "_spawn", spawning)
    async with running() as engine:
        (job,) = engine.submit([job_request("job", sd1_checkpoint)], on_progress=Killing(times=1))
        assert isinstance(await job, Finished)
        assert len(spawned) == 4


@pytest.mark.usefixtures("_mortal")
@pytest.mark.parametrize("guidance_scale", [DEADLY, LOSING], ids=["killed", "device lost"])
async def test_a_job_that_dies_twice_fails_and_the_next_one_works(
    sd1_checkpoint: Path, guidance_scale: float
) -> None:
    async with running() as engine:
        (doomed,) = engine.submit([job_request("doomed", sd1_checkpoint, guidance_scale=guidance_scale)])
        outcome = await doomed
        assert isinstance(outcome, Failed)
        assert outcome.code == "crashed"
        (following,) = engine.submit([job_request("next", sd1_checkpoint)])
        assert isinstance(await following, Finished)
        assert engine.restarts == 2


async def test_cancelling_and_stopping_end_jobs_at_once(sd1_checkpoint: Path) -> None:
    async with running() as engine:
        begun = asyncio.Event()
        cancelled, kept = engine.submit(
            [
                job_request("given up", sd1_checkpoint, steps=LONG),
                job_request("kept", sd1_checkpoint, steps=LONG),
            ],
            on_progress=lambda report: begun.set() if report.step else None,
        )
        await begun.wait()
        engine.cancel(["given up", "unknown"])
        outcome = await cancelled
        assert isinstance(outcome, Failed)
        assert outcome.code == "cancelled"
        (child,) = forked_processes()
        await engine.stop()
        outcome = await kept
        assert isinstance(outcome, Failed)
        assert outcome.code == "stopping"
        assert not child.is_running()
        (late,) = engine.submit([job_request("late", sd1_checkpoint)])
        outcome = await late
        assert isinstance(outcome, Failed)
        assert outcome.code == "stopping"


class Clock:
    """Stands still until it is put forward, so that a slow start is not taken for a stall."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


async def test_a_process_that_does_not_react_is_replaced(
    sd1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("underpaint.engine.process.time", clock)
    frozen: asyncio.Future[psutil.Process] = asyncio.get_running_loop().create_future()

    def freeze(report: Progress) -> None:
        if report.step == 1 and not frozen.done():
            (process,) = forked_processes()
            process.send_signal(signal.SIGSTOP)
            frozen.set_result(process)

    async with running(stall_s=4.0) as engine:
        (job,) = engine.submit([job_request("frozen", sd1_checkpoint, steps=40)], on_progress=freeze)
        process = await frozen
        # Again and again: what the process said before it froze may still be on its way, and counts as a sign of life.
        while not engine.restarts:
            clock.now_s += 100.0
            await asyncio.sleep(0.1)
        assert isinstance(await job, Finished)
        assert engine.restarts == 1
        assert not process.is_running()


PARENT = """
import asyncio
import sys
from pathlib import Path

from underpaint.engine.messages import EngineOptions, JobRequest, ModelReference
from underpaint.engine.process import EngineProcess


async def main() -> None:
    engine = EngineProcess(EngineOptions(device="cpu", threads=1))
    await engine.start()
    request = JobRequest(
        job_id="endless", owner="anyone", prompt="a house", negative_prompt="", width_px=64, height_px=64,
        model=ModelReference(architecture="sd1x", location=Path(sys.argv[1])),
        steps=500, guidance_scale=7.5, scheduler="DDIM", seed=1,
    )
    (job,) = engine.submit([request], on_progress=lambda report: print(report.step, flush=True))
    print(await job)
    await engine.stop()


if __name__ == "__main__":
    asyncio.run(main())
"""


def engine_processes(parent: psutil.Process) -> list[psutil.Process]:
    """Children that run an engine; multiprocessing's own helper is none."""
    return [
        child
        for child in parent.children()
        if child.status() != psutil.STATUS_ZOMBIE and any("spawn_main" in word for word in child.cmdline())
    ]


def test_the_engine_leaves_when_its_parent_dies(sd1_checkpoint: Path, tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, program, sd1_checkpoint], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            assert "1" in (line.strip() for line in parent.stdout)
            children = engine_processes(psutil.Process(parent.pid))
        finally:
            parent.kill()
    assert len(children) == 1
    for _ in range(300):
        # Where nothing collects orphans, a process that has ended stays behind as a zombie.
        if not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the engine is still there")


async def test_a_process_that_cannot_start_fails_the_waiting_jobs(
    sd1_checkpoint: Path,
) -> None:
    # A device that there is not: the child ends before it is ready.
    engine = EngineProcess(EngineOptions(device="abacus"))  # type: ignore[arg-type]
    await engine.start()
    try:
        async with asyncio.timeout(100):
            (job,) = engine.submit([job_request("waiting", sd1_checkpoint)])
            outcome = await job
        assert isinstance(outcome, Failed)
        assert outcome.code == "crashed"
        assert "does not start" in outcome.message
    finally:
        await engine.stop()


async def test_a_job_goes_on_from_its_checkpoint_in_the_next_process(
    sd1_checkpoint: Path, tmp_path: Path
) -> None:
    request = job_request("long", sd1_checkpoint, steps=40, checkpoint="long")
    reports: list[Progress] = []

    def kill_late(report: Progress) -> None:
        reports.append(report)
        if report.step == 30 and not any(each.step == 30 for each in reports[:-1]):
            kill_engine()

    options = replace(OPTIONS, checkpoints=tmp_path, checkpoint_interval_s=0.0, strict_rows=2)
    async with running(options) as engine:
        [outcome] = engine.submit([request], on_progress=kill_late)
        finished = await outcome
        assert isinstance(finished, Finished)
        assert engine.restarts == 1
    whole = Driven(strict_rows=2)
    whole.finish(request)
    assert finished.picture.tobytes() == whole.picture("long").tobytes()
    again = [report.step for report in reports][[report.step for report in reports].index(30) + 1 :]
    assert min(step for step in again if step) > 1, "it began at its beginning"


async def test_only_its_parent_ends_the_process(sd1_checkpoint: Path) -> None:
    """Service managers send SIGTERM to every process of a service; the parent lets jobs finish first."""

    def tell(report: Progress) -> None:
        if report.step == 1:
            (child,) = forked_processes()
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGINT)

    async with running() as engine:
        [outcome] = engine.submit([job_request("job", sd1_checkpoint, steps=10)], on_progress=tell)
        assert isinstance(await outcome, Finished)
        assert engine.restarts == 0
