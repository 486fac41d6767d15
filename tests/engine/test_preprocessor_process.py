"""The preprocessors' process: what it makes, how it ends, and that nothing else ends with it."""

import asyncio
from typing import Literal

import cv2
import numpy as np

from underpaint.engine.messages import Failed, Finished, Picture, PreprocessRequest, Progress
from underpaint.engine.preprocessor_process import PreprocessorProcess


def request(
    job_id: str, picture: Picture, *, owner: str = "someone", kind: str = "canny"
) -> PreprocessRequest:
    return PreprocessRequest(job_id=job_id, owner=owner, kind=kind, picture=picture)


def large() -> Picture:
    """What keeps a process busy for a while."""
    return np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), dtype=np.uint8)


async def test_guide_images_are_made_in_turns_and_the_process_leaves_when_idle(photo: Picture) -> None:
    process = PreprocessorProcess(idle_s=0.2)
    begun: list[str] = []

    def note(progress: Progress) -> None:
        begun.append(progress.job_id)

    requests = [request(str(number), photo, owner="a") for number in range(3)]
    requests.append(request("other", photo, owner="b", kind="mlsd"))
    outcomes = await asyncio.gather(*process.submit(requests, on_progress=note))
    assert begun == ["0", "other", "1", "2"]
    finished = outcomes[0]
    assert isinstance(finished, Finished)
    assert (finished.picture[..., 0] == cv2.Canny(photo, 100, 200)).all()
    assert all(isinstance(outcome, Finished) for outcome in outcomes)

    while process.running:  # noqa: ASYNC110 (nothing else tells)
        await asyncio.sleep(0.05)
    [again] = process.submit([request("again", photo)])
    assert isinstance(await again, Finished)
    await process.stop()
    assert not process.running


async def test_a_request_ends_at_its_limit_by_cancelling_or_with_its_process(photo: Picture) -> None:
    process = PreprocessorProcess()
    begun = asyncio.Event()
    [cancelled, next_one] = process.submit(
        [request("cancelled", large(), kind="scribble"), request("next", photo)],
        on_progress=lambda progress: begun.set(),
    )
    await begun.wait()
    process.cancel(["cancelled", "unknown"])
    failed = await cancelled
    assert isinstance(failed, Failed)
    assert failed.code == "cancelled"
    assert isinstance(await next_one, Finished)

    begun.clear()
    [crashed] = process.submit(
        [request("crashed", large(), kind="scribble")], on_progress=lambda progress: begun.set()
    )
    await begun.wait()
    process.kill()
    failed = await crashed
    assert isinstance(failed, Failed)
    assert failed.code == "crashed"

    begun.clear()
    [waiting, behind] = process.submit(
        [request("waiting", large(), kind="scribble"), request("behind", photo)],
        on_progress=lambda progress: begun.set(),
    )
    await begun.wait()
    await process.stop()
    assert {each.code for each in (await waiting, await behind) if isinstance(each, Failed)} == {"stopping"}
    [late] = process.submit([request("after the stop", photo)])
    assert isinstance(await late, Failed)


async def test_what_takes_too_long_fails_and_what_nobody_knows_does_not_end_the_process(
    photo: Picture,
) -> None:
    process = PreprocessorProcess(limit_s=0.0)
    [late] = process.submit([request("late", large(), kind="scribble")])
    failed = await late
    assert isinstance(failed, Failed)
    assert "not ready after 0 s" in failed.message
    await process.stop()

    process = PreprocessorProcess()
    [unknown, known] = process.submit([request("unknown", photo, kind="hed"), request("known", photo)])
    failed = await unknown
    assert isinstance(failed, Failed)
    assert failed.code == "failed"
    assert isinstance(await known, Finished)
    await process.stop()


async def test_what_comes_as_the_process_is_about_to_leave_is_made(photo: Picture) -> None:
    process = PreprocessorProcess()
    late: list[asyncio.Future[Finished | Failed]] = []

    class LateNews(asyncio.Event):
        """The time is up, and before anybody is told, something comes."""

        async def wait(self) -> Literal[True]:
            if late:
                return await super().wait()
            late.extend(process.submit([request("late", photo)]))
            raise TimeoutError

    process._news = LateNews()
    [first] = process.submit([request("first", photo)])
    assert isinstance(await first, Finished)
    async with asyncio.timeout(60):
        while not late:  # noqa: ASYNC110 (nothing else tells)
            await asyncio.sleep(0.01)
        assert isinstance(await late[0], Finished)
    await process.stop()
