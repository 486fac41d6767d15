import asyncio
import contextlib
import json
import random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from underpaint.server import socket as module

from .conftest import Listening, ask, frame, image_task, until

PING = {"taskType": "ping", "ping": True}
PONG = {"data": [{"taskType": "ping", "pong": True}]}


def authentication(key: str = "any", **more: str) -> dict[str, str]:
    return {"taskType": "authentication", "apiKey": key, **more}


async def closing_code(socket: Any) -> int:
    async with asyncio.timeout(10):
        # Iterating ends for the codes 1000 and 1001, and raises for all others.
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                pass
    code = socket.close_code
    assert isinstance(code, int)
    return code


class TestAuthentication:
    @pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1?sdk=js&version=1.3.2&dryRun=1"])
    async def test_the_reply_is_a_frame_of_its_own_without_task_uuid(
        self, server: Listening, path: str
    ) -> None:
        async with server.socket(path) as socket:
            reply = await ask(socket, authentication(taskUUID="x"))
        assert list(reply) == ["data"]
        (item,) = reply["data"]
        assert set(item) == {"taskType", "connectionSessionUUID"}
        assert item["taskType"] == "authentication"

    async def test_a_wrong_key_gets_the_error_that_clients_look_for(self, server: Listening) -> None:
        server.add_key()
        async with server.socket() as socket:
            reply = await ask(socket, authentication("wrong", taskUUID="x"))
        (error,) = reply["errors"]
        assert set(error) == {"code", "message", "parameter", "taskType"}
        assert (error["code"], error["parameter"], error["taskType"]) == (
            "invalidApiKey",
            "apiKey",
            "authentication",
        )

    async def test_a_second_try_on_the_same_connection_counts(self, server: Listening) -> None:
        key_id, key = server.add_key()
        async with server.socket() as socket:
            assert "errors" in await ask(socket, authentication("wrong"))
            assert "data" in await ask(socket, authentication(key))
            await ask(socket, image_task("a"))
        assert server.studio.callers[0].owner == key_id

    async def test_a_malformed_authentication_is_an_authentication_error(self, server: Listening) -> None:
        async with server.socket() as socket:
            (error,) = (await ask(socket, {"taskType": "authentication", "taskUUID": "x"}))["errors"]
        assert (error["code"], error["taskType"]) == ("missingApiKey", "authentication")
        assert "taskUUID" not in error

    async def test_tasks_before_it_are_refused_with_their_uuid(self, server: Listening) -> None:
        async with server.socket() as socket:
            (error,) = (await ask(socket, image_task("a")))["errors"]
        assert (error["code"], error["taskUUID"], error["taskType"]) == (
            "missingApiKey",
            "a",
            "imageInference",
        )
        assert server.studio.callers == []

    async def test_a_ping_before_it_gets_a_pong_alone_in_its_frame(self, server: Listening) -> None:
        async with server.socket() as socket:
            assert await ask(socket, PING) == PONG
            # As one client does: authentication and ping in one breath, in two frames.
            await socket.send(json.dumps([authentication()]))
            await socket.send(json.dumps([PING]))
            assert (await frame(socket))["data"][0]["taskType"] == "authentication"
            assert await frame(socket) == PONG

    async def test_authentication_and_task_may_come_in_one_message(self, server: Listening) -> None:
        async with server.socket() as socket:
            first = await ask(socket, authentication(), PING, image_task("a"))
            assert first["data"][0]["taskType"] == "authentication"
            assert await frame(socket) == PONG
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"

    async def test_who_does_not_authenticate_in_time_is_closed(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "AUTHENTICATION_LIMIT_S", 0.05)
        async with server.socket() as socket:
            assert await closing_code(socket) == 1008

    async def test_a_revoked_key_ends_the_authentication(self, server: Listening) -> None:
        key_id, key = server.add_key()
        async with server.authenticated(key) as socket:
            server.revoke_key(key_id)
            (error,) = (await ask(socket, image_task("a")))["errors"]
            assert (error["code"], error["taskUUID"]) == ("missingApiKey", "a")
            assert (await ask(socket, authentication(key)))["errors"][0]["code"] == "invalidApiKey"

    async def test_the_first_key_ends_connections_that_have_none(self, server: Listening) -> None:
        async with server.authenticated("anything") as socket:
            server.add_key()
            assert (await ask(socket, image_task("a")))["errors"][0]["code"] == "missingApiKey"


class TestTasks:
    async def test_each_task_of_a_message_gets_a_frame_of_its_own(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(
                json.dumps([image_task("a", numberResults=2), image_task("b", "bad strength"), PING])
            )
            frames = [await frame(socket) for _ in range(3)]
        assert PONG in frames
        frames.remove(PONG)
        for one in frames:
            assert len(one) == 1
            (items,) = one.values()
            assert len({item["taskUUID"] for item in items}) == 1
        assert {len(items) for one in frames for items in one.values()} == {1, 2}

    async def test_a_short_task_does_not_wait_for_a_long_one(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("long", "wait")]))
            assert (await ask(socket, image_task("short")))["data"][0]["taskUUID"] == "short"
            assert await ask(socket, PING) == PONG
            server.studio.let_go("long")
            assert (await frame(socket))["data"][0]["taskUUID"] == "long"

    async def test_every_error_names_its_task(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            for uuid, prompt, code in (
                ("a", "bad strength", "invalidStrength"),
                ("b", "crash", "internalServerError"),
                ("c", "full", "rateLimitExceeded"),
            ):
                (error,) = (await ask(socket, image_task(uuid, prompt)))["errors"]
                assert (error["code"], error["taskUUID"], error["taskType"]) == (code, uuid, "imageInference")

    async def test_many_results_stay_below_the_largest_frame_that_clients_take(
        self, server: Listening
    ) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", numberResults=4, sizeBytes=400_000)]))
            sizes: list[int] = []
            items: list[dict[str, object]] = []
            while len(items) < 4:
                text = await socket.recv()
                sizes.append(len(text))
                items += json.loads(text)["data"]
        assert max(sizes) < 2**20
        assert len({item["imageUUID"] for item in items}) == 4

    async def test_get_response_may_be_held_open(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await ask(socket, {"taskType": "getResponse", "taskUUID": "a"})
        assert server.studio.holds_s == [module.HOLD_S]

    async def test_links_start_with_the_http_url(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await ask(socket, image_task("a"))
        assert server.studio.callers[0].base_url == server.url

    async def test_too_many_unanswered_tasks_are_refused_one_by_one(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_TASKS_IN_FLIGHT", 2)
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task(uuid, "wait") for uuid in "abc"]))
            (error,) = (await frame(socket))["errors"]
            assert (error["code"], error["taskUUID"]) == ("rateLimitExceeded", "c")
            server.studio.let_go("a")
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"
            assert (await ask(socket, image_task("d")))["data"][0]["taskUUID"] == "d"
            server.studio.let_go("b")


class TestMessages:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("", "invalidJson"),
            ("[{", "invalidJson"),
            ("7", "invalidRequest"),
            ("[]", "arrayTooSmall"),
            (b"[]", "invalidRequest"),
        ],
    )
    async def test_what_is_no_array_of_tasks_gets_an_error_and_the_connection_lives(
        self, server: Listening, message: str | bytes, code: str
    ) -> None:
        async with server.authenticated() as socket:
            await socket.send(message)
            assert (await frame(socket))["errors"][0]["code"] == code
            assert await ask(socket, PING) == PONG

    async def test_an_element_that_is_no_object_harms_no_other(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([None, image_task("a")]))
            frames = [await frame(socket), await frame(socket)]
        assert sorted(key for one in frames for key in one) == ["data", "errors"]

    async def test_a_message_over_the_limit_ends_the_connection_with_1009(self, start: Any) -> None:
        server: Listening = await start(max_request_bytes=2000)
        async with server.authenticated() as socket:
            await socket.send("x" * 2001)
            assert await closing_code(socket) == 1009

    async def test_a_large_message_is_read(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            reply = await ask(socket, image_task("a", seedImage="A" * 3_000_000))
        assert reply["data"][0]["taskUUID"] == "a"


async def test_of_many_tasks_at_once_each_is_answered_once_and_to_whom_it_was_sent(server: Listening) -> None:
    chance = random.Random(1)
    async with server.authenticated() as one, server.authenticated() as two, server.authenticated() as three:
        sockets = {"a": one, "b": two, "c": three}
        names = [f"{letter}{number}" for number in range(40) for letter in sockets]
        for name in names:
            await sockets[name[0]].send(json.dumps([image_task(name, "wait")]))
        for _ in names:
            await server.studio.started.get()
        chance.shuffle(names)
        for name in names:
            server.studio.let_go(name)
        for letter, socket in sockets.items():
            answers = [await frame(socket) for _ in range(40)]
            answered = [item["taskUUID"] for answer in answers for item in answer["data"]]
            assert sorted(answered) == sorted(name for name in names if name[0] == letter)
            # And nothing else comes.
            assert await ask(socket, PING) == PONG


class TestEnds:
    async def test_an_idle_connection_is_closed_but_never_as_normal(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with server.authenticated() as socket:
            monkeypatch.setattr(module, "IDLE_LIMIT_S", 0.05)
            await ask(socket, PING)
            assert await closing_code(socket) == 1011

    async def test_a_connection_that_waits_for_its_task_is_not_idle(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with server.authenticated() as socket:
            monkeypatch.setattr(module, "IDLE_LIMIT_S", 0.05)
            await socket.send(json.dumps([image_task("a", "wait")]))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await socket.recv()
            server.studio.let_go("a")
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"
            assert await closing_code(socket) == 1011

    async def test_a_client_that_takes_nothing_is_let_go_and_its_results_are_kept(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SEND_LIMIT_S", 0.1)
        async with server.socket(max_queue=1, close_timeout=0.1) as socket:
            session = (await ask(socket, authentication()))["data"][0]["connectionSessionUUID"]
            (connection,) = server.services.connections
            await socket.send(json.dumps([image_task(f"{i}", sizeBytes=900_000) for i in range(40)]))
            await until(lambda: connection not in server.services.connections)
            async with server.authenticated(connectionSessionUUID=session) as again:
                assert (await frame(again))["data"][0]["taskType"] == "imageInference"

    async def test_shutting_down_finishes_what_runs_and_closes_with_1012(self, start: Any) -> None:
        server: Listening = await start(grace_s=30.0)
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "wait")]))
            await server.studio.started.get()
            server.server.should_exit = True
            await until(lambda: server.studio.drained_for_s is not None)
            # The listener is still there to say so.
            with pytest.raises(InvalidStatus) as refused:
                async with server.socket():
                    pass
            assert refused.value.response.status_code == 503
            server.studio.let_go("a")
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"
            assert await closing_code(socket) == 1012

    async def test_a_task_that_is_interrupted_gets_no_error_because_it_goes_on_after_the_restart(
        self, start: Any
    ) -> None:
        server: Listening = await start(grace_s=0.0)
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "wait")]))
            await server.studio.started.get()
            server.server.should_exit = True
            with pytest.raises(ConnectionClosed):
                await frame(socket)
            assert socket.close_code == 1012

    async def test_open_connections_are_counted(self, server: Listening) -> None:
        async with server.authenticated():
            assert b"underpaint_websocket_connections 1.0" in server.services.metrics.render()
        await until(lambda: not server.services.connections)
        assert b"underpaint_websocket_connections 0.0" in server.services.metrics.render()


class TestSessions:
    async def test_a_result_that_found_no_socket_comes_with_the_next_authentication(
        self, server: Listening
    ) -> None:
        async with server.socket() as socket:
            session = (await ask(socket, authentication()))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task("a", "wait"), image_task("b", "wait")]))
            await server.studio.started.get()
            await server.studio.started.get()
        await until(lambda: not server.services.connections)
        server.studio.let_go("a")
        async with server.socket() as socket:
            reply = await ask(socket, authentication(connectionSessionUUID=session))
            assert reply["data"][0]["connectionSessionUUID"] == session
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"
            # What ends later finds the new socket.
            server.studio.let_go("b")
            assert (await frame(socket))["data"][0]["taskUUID"] == "b"

    async def test_another_key_cannot_take_a_session_over(self, server: Listening) -> None:
        (_, key), (_, other) = server.add_key(), server.add_key()
        async with server.socket() as socket:
            session = (await ask(socket, authentication(key)))["data"][0]["connectionSessionUUID"]
            async with server.socket() as thief:
                reply = await ask(thief, authentication(other, connectionSessionUUID=session))
                assert reply["data"][0]["connectionSessionUUID"] != session
            assert await ask(socket, PING) == PONG

    async def test_an_unknown_session_is_a_new_one(self, server: Listening) -> None:
        async with server.socket() as socket:
            reply = await ask(socket, authentication(connectionSessionUUID="made up"))
        assert reply["data"][0]["connectionSessionUUID"] != "made up"

    async def test_authenticating_again_keeps_the_session(self, server: Listening) -> None:
        async with server.socket() as socket:
            first = await ask(socket, authentication())
            assert await ask(socket, authentication()) == first
            assert (await ask(socket, image_task("a")))["data"][0]["taskUUID"] == "a"

    @pytest.mark.parametrize("meanwhile", ["a wrong key", "another key", "another session", "revoked"])
    async def test_answers_come_over_the_connection_that_asked_whoever_it_has_become(
        self, server: Listening, meanwhile: str
    ) -> None:
        (key_id, key), (_, other) = server.add_key(), server.add_key()
        async with server.socket() as socket:
            session = (await ask(socket, authentication(key)))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task("a", "wait"), image_task("b", "wait")]))
            assert {await server.studio.started.get() for _ in "ab"} == {"a", "b"}
            if meanwhile == "a wrong key":
                assert (await ask(socket, authentication("wrong")))["errors"][0]["code"] == "invalidApiKey"
            elif meanwhile == "another key":
                assert "data" in await ask(socket, authentication(other))
            elif meanwhile == "another session":
                assert "data" in await ask(socket, authentication(key, connectionSessionUUID="none"))
            else:
                server.revoke_key(key_id)
            if meanwhile in ("a wrong key", "revoked"):
                # What is new needs a key that is valid.
                assert (await ask(socket, image_task("c")))["errors"][0]["code"] == "missingApiKey"
            server.studio.let_go("a")
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"
            server.studio.let_go("b")
            assert (await frame(socket))["data"][0]["taskUUID"] == "b"
            # With the last answer the connection has left the session, and is not closed by who resumes it.
            if meanwhile == "another key":
                async with server.socket() as resuming:
                    reply = await ask(resuming, authentication(key, connectionSessionUUID=session))
                    assert reply["data"][0]["connectionSessionUUID"] == session
                    assert (await ask(socket, image_task("d")))["data"][0]["taskUUID"] == "d"

    async def test_a_session_that_is_resumed_elsewhere_takes_its_answers_along(
        self, server: Listening
    ) -> None:
        (_, key), (_, other) = server.add_key(), server.add_key()
        async with server.socket() as socket, server.socket() as resuming:
            session = (await ask(socket, authentication(key)))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task("a", "wait")]))
            await server.studio.started.get()
            assert "data" in await ask(socket, authentication(other))
            assert "data" in await ask(resuming, authentication(key, connectionSessionUUID=session))
            server.studio.let_go("a")
            assert (await frame(resuming))["data"][0]["taskUUID"] == "a"
            assert await ask(socket, PING) == PONG


class TestParts:
    """Of a reply, before its end: modelUpload says its stages so."""

    async def test_come_as_data_and_are_not_said_again(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "in parts")]))
            parts = [(await frame(socket))["data"] for _ in range(2)]
            # The rest is still to come.
            assert await ask(socket, PING) == PONG
            server.studio.let_go("a")
            parts.append((await frame(socket))["data"])
            assert [len(part) for part in parts] == [1, 1, 1]
            assert len({part[0]["imageUUID"] for part in parts}) == 3

    async def test_come_together_to_the_client_that_takes_the_first_for_all(self, server: Listening) -> None:
        async with server.socket(user_agent_header="runware-python/1.8.0 (python/3.11.7)") as socket:
            await ask(socket, authentication())
            await socket.send(json.dumps([image_task("a", "in parts")]))
            assert len((await frame(socket))["data"]) == 3


STEP = {
    "taskType": "imageInference",
    "taskUUID": "a",
    "resultIndex": 0,
    "status": "running",
    "step": 1,
    "steps": 9,
}


class TestProgress:
    async def test_comes_in_frames_of_its_own(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "wait", progress=True)]))
            await server.studio.started.get()
            await server.studio.listeners["a"]([STEP])
            assert await frame(socket) == {"progress": [STEP]}
            server.studio.let_go("a")
            assert list(await frame(socket)) == ["data"]

    async def test_is_never_behind_the_result(
        self, server: Listening, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with server.authenticated() as socket:
            (connection,) = server.services.connections
            await socket.send(json.dumps([image_task("a", "wait", progress=True)]))
            await server.studio.started.get()
            # Something large is just going out, and the last progress waits behind it.
            async with connection._sending:
                reporting = asyncio.ensure_future(server.studio.listeners["a"]([STEP]))
                await asyncio.sleep(0)
                server.studio.let_go("a")
                await until(lambda: not server.studio.status().running)
            await reporting
            assert list(await frame(socket)) == ["progress"]
            assert list(await frame(socket)) == ["data"]

    async def test_follows_a_session_to_its_new_connection_and_is_not_kept(self, server: Listening) -> None:
        async with server.socket() as socket:
            session = (await ask(socket, authentication()))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task("a", "wait", progress=True)]))
            await server.studio.started.get()
        await until(lambda: not server.services.connections)
        listener = server.studio.listeners["a"]
        await listener([STEP])
        async with server.authenticated(connectionSessionUUID=session) as socket:
            await listener([{**STEP, "step": 2}])
            assert (await frame(socket))["progress"][0]["step"] == 2
            server.studio.let_go("a")
            assert (await frame(socket))["data"][0]["taskUUID"] == "a"

    async def test_of_many_large_previews_stays_below_the_largest_frame(self, server: Listening) -> None:
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "wait", previews=True)]))
            await server.studio.started.get()
            await server.studio.listeners["a"](
                [{**STEP, "resultIndex": index, "previewDataURI": "A" * 300_000} for index in range(5)]
            )
            first, second, third = [await frame(socket) for _ in range(3)]
            assert [len(one["progress"]) for one in (first, second, third)] == [2, 2, 1]
            server.studio.let_go("a")


class TestALostConnection:
    async def lose(self, server: Listening, *uuids: str) -> str:
        """Begin tasks and be gone; the session that they answer to."""
        async with server.socket() as socket:
            session = (await ask(socket, authentication()))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task(uuid, "wait") for uuid in uuids]))
            for _ in uuids:
                await server.studio.started.get()
        await until(lambda: not server.services.connections)
        assert isinstance(session, str)
        return session

    async def test_leaves_its_tasks_to_its_next_one(self, server: Listening) -> None:
        await self.lose(server, "a")
        assert server.studio.cancelled == []
        server.studio.let_go("a")

    async def test_takes_its_tasks_along_where_the_setting_says_so(self, start: Any) -> None:
        server: Listening = await start(cancel_on_disconnect=True)
        await self.lose(server, "a", "b")
        assert sorted(server.studio.cancelled) == ["a", "b"]

    async def test_is_none_when_the_client_is_already_back(self, start: Any) -> None:
        server: Listening = await start(cancel_on_disconnect=True)
        async with server.socket() as socket:
            session = (await ask(socket, authentication()))["data"][0]["connectionSessionUUID"]
            await socket.send(json.dumps([image_task("a", "wait")]))
            await server.studio.started.get()
            async with server.authenticated(connectionSessionUUID=session) as again:
                assert await closing_code(socket) == 1012
                assert server.studio.cancelled == []
                server.studio.let_go("a")
                assert (await frame(again))["data"][0]["taskUUID"] == "a"

    async def test_cancels_nothing_while_the_server_stops(self, start: Any) -> None:
        server: Listening = await start(cancel_on_disconnect=True, grace_s=30.0)
        async with server.authenticated() as socket:
            await socket.send(json.dumps([image_task("a", "wait")]))
            await server.studio.started.get()
            server.server.should_exit = True
            await until(lambda: server.studio.drained_for_s is not None)
        await until(lambda: not server.services.connections)
        assert server.studio.cancelled == []
        server.studio.let_go("a")


async def test_a_task_is_cancelled_over_the_socket(server: Listening) -> None:
    async with server.authenticated() as socket:
        await socket.send(json.dumps([image_task("a", "wait")]))
        await server.studio.started.get()
        await socket.send(json.dumps([{"taskType": "cancelTask", "taskUUID": "a"}]))
        one, other = await frame(socket), await frame(socket)
        errors, data = (one, other) if "errors" in one else (other, one)
        assert errors["errors"][0]["code"] == "taskCancelled"
        assert data["data"] == [{"taskType": "cancelTask", "taskUUID": "a", "status": "cancelled"}]
