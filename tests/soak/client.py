"""One official client that works at random for a while, run in that client's own environment.

Usage: client.py LIBRARY PROXY_URL SERVER_URL PHOTO SECONDS SEED. LIBRARY is runware, sdk-websocket or sdk-rest. The
client talks through the proxy, which cuts connections; what became of a task whose call failed is asked of the server
directly.

Prints one JSON document: how each call ended, and the tasks that were accepted and brought neither results nor an
error.
"""

import asyncio
import base64
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

CALL_LIMIT_S = 100.0
SETTLE_LIMIT_S = 120.0
MODEL = "runware:101@1"


class OldClient:
    """PyPI `runware`, over a WebSocket."""

    async def open(self, url: str) -> None:
        from runware import Runware

        self.client = Runware(api_key="any", url=url.replace("http", "ws", 1))
        await self.client.connect()

    async def close(self) -> None:
        await self.client.disconnect()

    async def transform(self, **task: Any) -> list[Any]:
        from runware import IImageInference

        request = IImageInference(**task)
        answer = await self.client.imageInference(requestImage=request)
        if task.get("deliveryMethod") == "async":
            return list(
                await self.client.getResponse(taskUUID=task["taskUUID"], numberResults=task["numberResults"])
            )
        return list(answer)


class NewClient:
    """PyPI `runware-sdk`, over a WebSocket or HTTP."""

    def __init__(self, transport: str) -> None:
        self.transport = transport

    async def open(self, url: str) -> None:
        from runware import Runware

        self.client = Runware(
            api_key="any",
            transport=self.transport,
            http_base_url=f"{url}/v1",
            ws_base_url=f"{url.replace('http', 'ws', 1)}/v1",
        )
        await self.client.__aenter__()

    async def close(self) -> None:
        await self.client.__aexit__(None, None, None)

    async def transform(self, **task: Any) -> list[Any]:
        return list(await self.client.run({"taskType": "imageInference", **task}))


class Soak:
    """What the client does, and what came of it."""

    def __init__(self, client: Any, proxy_url: str, server_url: str, photo: Path, seed: int) -> None:
        self.client = client
        self.proxy_url, self.server_url = proxy_url, server_url
        self.random = random.Random(seed)
        self.photo = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
        self.outcomes: Counter[str] = Counter()
        self.lost: list[dict[str, Any]] = []

    async def run(self, seconds: float) -> None:
        """Act until the time is over."""
        ends_s = time.monotonic() + seconds
        await self.reopen()
        while time.monotonic() < ends_s:
            acts = [self.sync, self.sync, self.several, self.asynchronous, self.cancelled, self.refused]
            acts += [self.abandoned, self.idle]
            chosen = [self.random.choice(acts) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
            if self.abandoned in chosen:
                chosen = [self.abandoned]
            await asyncio.gather(*(act() for act in chosen))
            if self.random.random() < 0.1:
                await self.reopen()
        await self.shut()

    async def sync(self) -> None:
        await self.call("sync", 1)

    async def several(self) -> None:
        await self.call("several", 3)

    async def asynchronous(self) -> None:
        await self.call("async", 2, deliveryMethod="async")

    async def idle(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 2))

    async def refused(self) -> None:
        await self.call("refused", 1, strength=1.5)

    async def cancelled(self) -> None:
        """A long task that is cancelled from outside, at any moment of its life."""
        task_uuid = str(uuid.uuid4())

        async def cancel() -> None:
            await asyncio.sleep(self.random.uniform(0, 1.5))
            await asyncio.to_thread(self.ask, "DELETE", f"/v1/tasks/{task_uuid}", None)

        await asyncio.gather(self.call("cancelled", 1, task_uuid=task_uuid, steps=60, strength=1.0), cancel())

    async def abandoned(self) -> None:
        """A task whose client goes away without a word, and comes back as another."""
        task_uuid = str(uuid.uuid4())
        call = asyncio.ensure_future(self.call("abandoned", 1, task_uuid=task_uuid))
        await asyncio.sleep(self.random.uniform(0, 0.5))
        await self.reopen()
        await call

    async def call(self, kind: str, results: int, *, task_uuid: str | None = None, **changes: Any) -> None:
        """Call, and find out how it ended: by the client's own answer, else by what the server says of the task."""
        task_uuid = task_uuid or str(uuid.uuid4())
        task = {
            "taskUUID": task_uuid,
            "model": MODEL,
            "positivePrompt": "a snowy winter evening, oil painting",
            "seedImage": self.photo,
            "width": 128,
            "height": 128,
            "steps": 6,
            "strength": 0.6,
            "numberResults": results,
            "deliveryMethod": "sync",
            **changes,
        }
        try:
            answer = await asyncio.wait_for(self.client.transform(**task), CALL_LIMIT_S)
        except BaseException as failure:
            if isinstance(failure, (KeyboardInterrupt, SystemExit)):
                raise
            text = f"{type(failure).__name__}: {failure}"
            if kind == "refused" and "strength" in text:
                self.outcomes["refused: refused"] += 1
            else:
                await self.settle(kind, task_uuid, results, text)
            return
        distinct = {item["imageUUID"] if isinstance(item, dict) else item.imageUUID for item in answer}
        if len(distinct) == results:
            self.outcomes[f"{kind}: answered"] += 1
        else:
            await self.settle(kind, task_uuid, results, f"{len(distinct)} results in place of {results}")

    async def settle(self, kind: str, task_uuid: str, results: int, what_the_client_said: str) -> None:
        """Ask until the task is over, for as long as there is progress: a busy machine is slow, not forgetful."""
        ends_s = time.monotonic() + SETTLE_LIMIT_S
        said: dict[str, Any] = {}
        while time.monotonic() < ends_s:
            poll = [{"taskType": "getResponse", "taskUUID": task_uuid}]
            before, said = said, await asyncio.to_thread(self.ask, "POST", "/v1", poll)
            if said != before:
                ends_s = time.monotonic() + SETTLE_LIMIT_S
            codes = {error["code"] for error in said.get("errors", ())}
            if codes:
                ending = "never arrived" if codes == {"taskNotFound"} else ", ".join(sorted(codes))
                self.outcomes[f"{kind}: {ending}"] += 1
                return
            done = [item for item in said.get("data", ()) if item.get("status") == "success"]
            if len(done) == results:
                self.outcomes[f"{kind}: found by asking"] += 1
                return
            await asyncio.sleep(1)
        self.lost.append(
            {"kind": kind, "taskUUID": task_uuid, "client": what_the_client_said, "server": said}
        )

    def ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        """Ask the server itself, not through the proxy. Blocks."""
        request = urllib.request.Request(
            self.server_url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                read: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refusal:
            read = json.load(refusal)
        return read

    async def reopen(self) -> None:
        """A new connection in place of the present one. The proxy may cut it at any moment."""
        await self.shut()
        for _ in range(20):
            try:
                await asyncio.wait_for(self.client.open(self.proxy_url), 30)
                return
            except Exception:
                self.outcomes["connecting: again"] += 1
                await asyncio.sleep(0.5)
        raise SystemExit("no connection in twenty attempts")

    async def shut(self) -> None:
        if hasattr(self.client, "client"):
            try:
                await asyncio.wait_for(self.client.close(), 10)
            except Exception:
                self.outcomes["closing: failed"] += 1


async def main() -> None:
    library, proxy_url, server_url, photo, seconds, seed = sys.argv[1:]
    client = OldClient() if library == "runware" else NewClient(library.replace("sdk-", ""))
    soak = Soak(client, proxy_url, server_url, Path(photo), int(seed))
    await soak.run(float(seconds))
    sys.stdout.write(json.dumps({"library": library, "outcomes": soak.outcomes, "lost": soak.lost}))
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
