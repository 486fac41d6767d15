"""An engine in the test's own process, driven tick by tick."""

from pathlib import Path
from typing import Any

import numpy as np

from underpaint.engine.engine import Engine
from underpaint.engine.messages import (
    EngineOptions,
    Event,
    Failed,
    Finished,
    JobRequest,
    ModelReference,
    Picture,
    Progress,
)


def job_request(job_id: str, folder: Path, **more: Any) -> JobRequest:
    """A picture of 64 x 64 pixels in 4 steps, save for what `more` says."""
    usual: dict[str, Any] = {
        "owner": "anyone",
        "model": ModelReference(architecture="sd1x", location=folder),
        "prompt": "a red house by the sea",
        "negative_prompt": "",
        "width_px": 64,
        "height_px": 64,
        "steps": 4,
        "guidance_scale": 7.5,
        "scheduler": "DDIM",
        "seed": 1,
    }
    return JobRequest(job_id=job_id, **{**usual, **more})


class Driven:
    """An engine and everything that it has said."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Event] = []
        self.engine = Engine(EngineOptions(device="cpu", threads=1, **options), emit=self.events.append)

    def finish(self, *requests: JobRequest) -> None:
        """Run jobs to their end, all handed over together."""
        self.engine.submit(requests)
        while self.engine.busy:
            self.engine.tick()

    def run_passes(self, count: int) -> None:
        """Run so many forward passes, and what has to be encoded before them."""
        wanted = self.engine.passes + count
        while self.engine.passes < wanted:
            assert self.engine.busy, "there are jobs that they can be of"
            self.engine.tick()

    def finish_beside_a_cancelled_job(self, kept: JobRequest, given_up: JobRequest, *, after: int) -> int:
        """Run two jobs, cancel the other one after some passes, and run the one that is kept to its end.

        Returns:
            Passes that were run from then on.
        """
        self.engine.submit([given_up, kept])
        self.run_passes(after)
        self.engine.cancel([given_up.job_id])
        assert self.failed(given_up.job_id).code == "cancelled"
        before = self.engine.passes
        while self.engine.busy:
            self.engine.tick()
        return self.engine.passes - before

    def picture(self, job_id: str) -> Picture:
        return self.finished(job_id).picture

    def finished(self, job_id: str) -> Finished:
        outcome = self.outcome(job_id)
        assert isinstance(outcome, Finished), outcome
        return outcome

    def failed(self, job_id: str) -> Failed:
        outcome = self.outcome(job_id)
        assert isinstance(outcome, Failed), outcome
        return outcome

    def outcome(self, job_id: str) -> Event:
        """The one event that ended a job."""
        (outcome,) = (
            event for event in self.events if isinstance(event, (Finished, Failed)) and event.job_id == job_id
        )
        return outcome

    @property
    def ended(self) -> list[str]:
        """Jobs that ended, in that order."""
        return [event.job_id for event in self.events if isinstance(event, (Finished, Failed))]

    def progress(self, job_id: str) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress) and event.job_id == job_id]


def worst_difference(one: Picture, other: Picture) -> int:
    """In steps of 1/255."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())
