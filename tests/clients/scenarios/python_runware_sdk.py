"""Scenarios for PyPI `runware-sdk` 1.8.0, run in that client's own environment.

Usage: python_runware_sdk.py rest|websocket HTTP_URL API_KEY PHOTO [SCENARIO ...]

Prints one JSON document: for every scenario what the client returned, or the error that reached the caller.
"""

import asyncio
import json
import sys
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runware import Runware, file_to_base64, file_to_data_uri

MODEL = "runware:101@1"
PROMPT = "a snowy winter evening, oil painting"

# Not part of a run that names no scenario.
ON_REQUEST = {"transform", "long_task"}


class Scenarios:
    """One method for each scenario. `photo` is a path on disk."""

    def __init__(self, client: Runware, photo: Path) -> None:
        self.client = client
        self.photo = photo

    async def transform(self, **parameters: Any) -> dict[str, Any]:
        task = {
            "taskType": "imageInference", "model": MODEL, "positivePrompt": PROMPT, "deliveryMethod": "sync",
            "width": 256, "height": 256, "steps": 6, "strength": 0.6, "seed": 20260101, **parameters,
        }  # fmt: skip
        return {
            "results": await self.client.run({key: value for key, value in task.items() if value is not None})
        }

    async def upload(self) -> dict[str, Any]:
        return (await self.client.image_upload({"image": file_to_base64(self.photo)}))[0]

    async def transform_by_uuid(self) -> dict[str, Any]:
        uploaded = await self.client.image_upload({"image": file_to_data_uri(self.photo)})
        return await self.transform(seedImage=uploaded[0]["imageUUID"])

    async def transform_inline(self) -> dict[str, Any]:
        return await self.transform(seedImage=file_to_data_uri(self.photo))

    async def transform_under_inputs(self) -> dict[str, Any]:
        return await self.transform(inputs={"seedImage": file_to_base64(self.photo)})

    async def three_results(self) -> dict[str, Any]:
        return await self.transform(seedImage=file_to_base64(self.photo), numberResults=3, seed=500)

    async def base64_output(self) -> dict[str, Any]:
        photo = file_to_base64(self.photo)
        return await self.transform(seedImage=photo, outputType="base64Data", outputFormat="PNG")

    async def second_pass(self) -> dict[str, Any]:
        first = await self.transform(seedImage=file_to_base64(self.photo))
        second = await self.transform(
            seedImage=first["results"][0]["imageUUID"], width=320, height=192, strength=0.4
        )
        return {"first": first["results"], "results": second["results"]}

    async def bad_parameter(self) -> dict[str, Any]:
        return await self.transform(seedImage=file_to_base64(self.photo), strength=1.5)

    async def bad_prompt(self) -> dict[str, Any]:
        return await self.transform(seedImage=file_to_base64(self.photo), positivePrompt="snow " * 601)

    async def model_search(self) -> dict[str, Any]:
        return (await self.client.model_search({"search": "underpaint"}))[0]

    async def media_storage(self) -> dict[str, Any]:
        media = await self.client.media_storage({"operation": "upload", "media": file_to_base64(self.photo)})
        transformed = await self.transform(seedImage=media[0]["mediaUUID"])
        deleted = await self.client.media_storage({"operation": "delete", "media": media[0]["mediaUUID"]})
        return {**transformed, "uploaded": media[0], "deleted": deleted[0]}

    async def preprocess(self) -> dict[str, Any]:
        asked = {"inputs": {"image": file_to_base64(self.photo)}, "width": 192, "outputFormat": "PNG"}
        models = ["runware:controlnet-preprocess@canny", "runware:controlnet-preprocess@softedge"]
        return {
            "results": [
                (await self.client.run({"taskType": "controlNetPreprocess", "model": model, **asked}))[0]
                for model in models
            ]
        }

    async def long_task(self) -> dict[str, Any]:
        task = {"width": 512, "height": 512, "steps": 15, "strength": 1.0, "deliveryMethod": "async"}
        return await self.transform(seedImage=file_to_base64(self.photo), **task)

    async def asynchronous(self) -> dict[str, Any]:
        # The client's own default: an acknowledgement, then getResponse until both results are there.
        photo = file_to_base64(self.photo)
        return await self.transform(seedImage=photo, numberResults=2, deliveryMethod=None, seed=500)

    async def bad_parameter_asynchronous(self) -> dict[str, Any]:
        return await self.transform(
            seedImage=file_to_base64(self.photo), strength=1.5, deliveryMethod="async"
        )

    async def response_and_details(self) -> dict[str, Any]:
        task_uuid = str(uuid.uuid4())
        outcome = await self.transform(seedImage=file_to_base64(self.photo), taskUUID=task_uuid)
        response = await self.client.get_response({"taskUUID": task_uuid})
        details = await self.client.get_task_details({"taskUUID": task_uuid})
        return {**outcome, "taskUUID": task_uuid, "response": response, "details": details}

    async def at_the_same_time(self) -> dict[str, Any]:
        """Two good tasks and a bad one in flight at once on one client."""
        photo = file_to_base64(self.photo)
        outcomes = await asyncio.gather(
            self.transform(seedImage=photo, seed=7),
            self.transform(seedImage=photo, strength=1.5),
            self.transform(seedImage=photo, seed=8),
            return_exceptions=True,
        )
        return {"outcomes": [describe(one) if isinstance(one, BaseException) else one for one in outcomes]}


def describe(error: BaseException) -> dict[str, Any]:
    fields = ("code", "parameter", "task_type", "task_uuid", "status_code")
    return {
        "type": type(error).__name__,
        "text": str(error),
        **{key: getattr(error, key, None) for key in fields},
    }


async def main(transport: str, http_url: str, api_key: str, photo: Path, names: list[str]) -> dict[str, Any]:
    everything = [name for name in vars(Scenarios) if not name.startswith("_") and name not in ON_REQUEST]
    happened: dict[str, Any] = {}
    for name in names or everything:
        client = Runware(
            api_key=api_key,
            transport=transport,
            http_base_url=f"{http_url}/v1",
            ws_base_url=f"{http_url.replace('http', 'ws', 1)}/v1",
        )
        try:
            async with client:
                happened[name] = {"outcome": await getattr(Scenarios(client, photo), name)()}
        except Exception as error:
            happened[name] = {"error": describe(error)}
    return {"client": f"runware-sdk {version('runware-sdk')}", "scenarios": happened}


if __name__ == "__main__":
    chosen_transport, url, key, photo_path, *scenario_names = sys.argv[1:]
    sys.stdout.write(
        json.dumps(asyncio.run(main(chosen_transport, url, key, Path(photo_path), scenario_names)))
    )
