import asyncio

import pytest

from underpaint.server import sessions as module
from underpaint.server.sessions import Session, Sessions


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Socket:
    """A connection that can break."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False
        self.left: list[Session] = []

    async def send(self, frame: str) -> bool:
        await asyncio.sleep(0)
        if self.broken:
            return False
        self.sent.append(frame)
        return True

    async def leave(self, session: Session) -> None:
        self.left.append(session)
        self.broken = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock=clock)


async def test_frames_go_to_the_open_connection(sessions: Sessions) -> None:
    session, socket = sessions.find("owner", None), Socket()
    await sessions.attach(session, socket)
    await sessions.deliver(session, "a", keep=True)
    assert socket.sent == ["a"]


async def test_what_was_missed_is_sent_in_order_when_the_client_comes_back(sessions: Sessions) -> None:
    session, gone, back = sessions.find("owner", None), Socket(), Socket()
    await sessions.attach(session, gone)
    gone.broken = True
    for frame in ("a", "b"):
        await sessions.deliver(session, frame, keep=True)
    resumed = sessions.find("owner", session.session_uuid)
    assert resumed is session
    await sessions.attach(resumed, back)
    await sessions.deliver(session, "c", keep=True)
    assert back.sent == ["a", "b", "c"]
    await sessions.attach(session, Socket())
    assert session.kept_bytes == 0


async def test_errors_are_not_kept(sessions: Sessions) -> None:
    session, gone, back = sessions.find("owner", None), Socket(), Socket()
    await sessions.attach(session, gone)
    sessions.detach(session, gone)
    await sessions.deliver(session, "error", keep=False)
    await sessions.attach(session, back)
    assert back.sent == []


async def test_another_key_gets_a_session_of_its_own(sessions: Sessions) -> None:
    session, gone = sessions.find("owner", None), Socket()
    await sessions.attach(session, gone)
    sessions.detach(session, gone)
    await sessions.deliver(session, "secret", keep=True)
    stranger, socket = sessions.find("stranger", session.session_uuid), Socket()
    assert stranger.session_uuid != session.session_uuid
    await sessions.attach(stranger, socket)
    assert socket.sent == []


async def test_an_unknown_uuid_is_not_adopted(sessions: Sessions) -> None:
    assert sessions.find("owner", "made up").session_uuid != "made up"


async def test_what_was_missed_is_forgotten_after_two_minutes(sessions: Sessions, clock: Clock) -> None:
    session, gone = sessions.find("owner", None), Socket()
    await sessions.attach(session, gone)
    sessions.detach(session, gone)
    await sessions.deliver(session, "a", keep=True)
    clock.now_s = 120.0
    assert sessions.find("owner", session.session_uuid) is session
    clock.now_s = 120.1
    assert sessions.find("owner", session.session_uuid) is not session
    assert sessions.lost == 0
    # A task that ends later still has nowhere to leave its result, and harms nobody.
    await sessions.deliver(session, "b", keep=True)
    assert not session.kept


async def test_an_open_session_does_not_age(sessions: Sessions, clock: Clock) -> None:
    session, socket = sessions.find("owner", None), Socket()
    await sessions.attach(session, socket)
    clock.now_s = 10_000.0
    assert sessions.find("owner", session.session_uuid) is session


async def test_a_client_that_comes_back_early_replaces_its_own_former_connection(sessions: Sessions) -> None:
    session, former, later = sessions.find("owner", None), Socket(), Socket()
    await sessions.attach(session, former)
    await sessions.attach(sessions.find("owner", session.session_uuid), later)
    assert former.left == [session]
    # The end of the former connection is not the end of the session.
    sessions.detach(session, former)
    await sessions.deliver(session, "a", keep=True)
    assert later.sent == ["a"]


async def test_a_connection_that_breaks_during_the_replay_loses_nothing(sessions: Sessions) -> None:
    session, gone, broken, back = sessions.find("owner", None), Socket(), Socket(), Socket()
    await sessions.attach(session, gone)
    sessions.detach(session, gone)
    await sessions.deliver(session, "a", keep=True)
    broken.broken = True
    await sessions.attach(session, broken)
    await sessions.attach(session, back)
    assert back.sent == ["a"]


@pytest.mark.parametrize(("limit", "value"), [("MAX_FRAMES", 3), ("MAX_SESSION_BYTES", 30)])
async def test_a_session_keeps_the_newest_within_its_bounds(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    session, gone, back = sessions.find("owner", None), Socket(), Socket()
    await sessions.attach(session, gone)
    sessions.detach(session, gone)
    for number in range(5):
        await sessions.deliver(session, str(number) * 10, keep=True)
    await sessions.attach(session, back)
    assert back.sent == ["2" * 10, "3" * 10, "4" * 10]


@pytest.mark.parametrize(("limit", "value"), [("MAX_SESSIONS", 3), ("MAX_TOTAL_BYTES", 30)])
async def test_all_sessions_together_keep_the_newest_within_their_bounds(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    for _ in range(5):
        session, gone = sessions.find("owner", None), Socket()
        await sessions.attach(session, gone)
        sessions.detach(session, gone)
        await sessions.deliver(session, "x" * 10, keep=True)
    assert sessions.lost == 3


async def test_stopping_ends_the_answers_that_are_awaited(sessions: Sessions) -> None:
    forever = sessions.run(asyncio.sleep(3600))
    await sessions.settle(0.0)
    assert not forever.done()
    await sessions.stop()
    assert forever.cancelled()
