"""Scenarios for PyPI `runware` 0.5.24, run in that client's own environment.

Usage: python_runware.py HTTP_URL API_KEY PHOTO [SCENARIO ...]

Prints one JSON document: for every scenario what the client returned, or the error that reached the caller.
"""

import asyncio
import dataclasses
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runware import (
    IControlNetCanny,
    IControlNetOpenPose,
    IImageInference,
    IImageUpscale,
    IModelSearch,
    Runware,
    RunwareAPIError,
)

MODEL = "runware:101@1"
PROMPT = "a snowy winter evening, oil painting"

# Not part of a run that names no scenario.
ON_REQUEST = {"transform", "long_task"}


class Scenarios:
    """One method for each scenario. `photo` is a path on disk."""

    def __init__(self, client: Runware, photo: Path) -> None:
        self.client = client
        self.photo = str(photo)

    async def transform(self, **parameters: Any) -> dict[str, Any]:
        task = {
            "model": MODEL, "positivePrompt": PROMPT, "width": 256, "height": 256, "steps": 6, "strength": 0.6,
            "seed": 20260101, **parameters,
        }  # fmt: skip
        request = IImageInference(**task)
        images = await self.client.imageInference(requestImage=request)
        return {"results": [dataclasses.asdict(image) for image in images]}

    async def upload(self) -> dict[str, Any]:
        return dataclasses.asdict(await self.client.uploadImage(self.photo))

    async def transform_by_uuid(self) -> dict[str, Any]:
        uploaded = await self.client.uploadImage(self.photo)
        return await self.transform(seedImage=uploaded.imageUUID)

    async def transform_inline(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo)

    async def three_results(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo, numberResults=3, seed=500)

    async def base64_output(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo, outputType="base64Data", outputFormat="PNG")

    async def second_pass(self) -> dict[str, Any]:
        first = await self.transform(seedImage=self.photo)
        second = await self.transform(
            seedImage=first["results"][0]["imageUUID"], width=320, height=192, strength=0.4
        )
        return {"first": first["results"], "results": second["results"]}

    async def bad_parameter(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo, strength=1.5)

    async def bad_prompt(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo, positivePrompt="snow " * 601)

    async def model_search(self) -> dict[str, Any]:
        return dataclasses.asdict(await self.client.modelSearch(IModelSearch(search="underpaint")))

    async def media_storage(self) -> dict[str, Any]:
        media = await self.client.uploadMedia(self.photo)
        return {**await self.transform(seedImage=media.mediaUUID), "mediaUUID": media.mediaUUID}

    async def upscale(self) -> dict[str, Any]:
        uploaded = await self.client.uploadImage(self.photo)
        upscale = IImageUpscale(
            inputImage=uploaded.imageUUID, model=MODEL, upscaleFactor=2, settings={"strength": 0.0}
        )
        images = await self.client.imageUpscale(upscale)
        return {
            "results": [dataclasses.asdict(image) for image in images],
            "inputImageUUID": uploaded.imageUUID,
        }

    async def control_net_canny(self) -> dict[str, Any]:
        """Both forms say more of a map than its ControlNet needs. The second ControlNet is not installed."""
        controls = [
            IControlNetCanny(
                model="tests:1@1", guideImage=self.photo, lowThresholdCanny=90, highThresholdCanny=180
            ),
            IControlNetOpenPose(model="tests:1@2", guideImage=self.photo),
        ]
        return await self.transform(seedImage=self.photo, controlNet=controls)

    async def long_task(self) -> dict[str, Any]:
        return await self.transform(seedImage=self.photo, width=512, height=512, steps=15, strength=1.0)

    async def asynchronous(self) -> dict[str, Any]:
        started_at = time.monotonic()
        await self.transform(seedImage=self.photo, width=512, height=512, steps=10, numberResults=2)
        synchronous_s = time.monotonic() - started_at

        request = IImageInference(
            model=MODEL, positivePrompt=PROMPT, seedImage=self.photo, strength=0.6, width=512, height=512,
            steps=10, numberResults=2, seed=500, deliveryMethod="async",
        )  # fmt: skip
        started_at = time.monotonic()
        acknowledgement = await self.client.imageInference(requestImage=request)
        images = await self.client.getResponse(taskUUID=acknowledgement.taskUUID, numberResults=2)
        return {
            "acknowledgement": dataclasses.asdict(acknowledgement),
            "synchronous_s": synchronous_s,
            "asynchronous_s": time.monotonic() - started_at,
            "results": [dataclasses.asdict(image) for image in images],
        }

    async def at_the_same_time(self) -> dict[str, Any]:
        """Two good tasks and a bad one in flight at once on one connection."""
        outcomes = await asyncio.gather(
            self.transform(seedImage=self.photo, seed=7),
            self.transform(seedImage=self.photo, strength=1.5),
            self.transform(seedImage=self.photo, seed=8),
            return_exceptions=True,
        )
        return {"outcomes": [describe(one) if isinstance(one, BaseException) else one for one in outcomes]}


def describe(error: BaseException) -> dict[str, Any]:
    fields = error.error_data if isinstance(error, RunwareAPIError) else {}
    return {
        "type": type(error).__name__,
        "text": str(error),
        **{key: fields.get(key) for key in ("code", "parameter", "taskUUID")},
    }


async def main(http_url: str, api_key: str, photo: Path, names: list[str]) -> dict[str, Any]:
    everything = [name for name in vars(Scenarios) if not name.startswith("_") and name not in ON_REQUEST]
    happened: dict[str, Any] = {}
    for name in names or everything:
        client = Runware(api_key=api_key, url=http_url.replace("http", "ws", 1))
        try:
            await client.connect()
            happened[name] = {"outcome": await getattr(Scenarios(client, photo), name)()}
        except Exception as error:
            happened[name] = {"error": describe(error)}
        finally:
            await client.disconnect()
    return {"client": f"runware {version('runware')}", "scenarios": happened}


if __name__ == "__main__":
    url, key, photo_path, *scenario_names = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(main(url, key, Path(photo_path), scenario_names))))
