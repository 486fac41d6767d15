"""What a server offers that was installed a moment ago: no key, no model, no configuration."""

import base64
import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints import EMBEDDED_CHECKPOINT
from underpaint.catalog.describe import NewModel, describe
from underpaint.catalog.installed import InstalledModels

from .environments import REPOSITORY
from .pictures import decode, fetch
from .server_process import ServerProcess

LORA = [{"model": "underpaint:lora@1", "weight": 1}]


@pytest.fixture
def another_model(keyless_server: ServerProcess) -> Iterator[str]:
    """The identifier of a checkpoint for which the additions that ship are not meant."""
    installed = InstalledModels(keyless_server.data_folder)
    new = NewModel(air="mine:1@1", source=str(EMBEDDED_CHECKPOINT), architecture="sd1x")
    installed.add(describe(new))
    yield new.air
    installed.remove(new.air)


def test_a_lora_and_an_ip_adapter_are_there_for_the_embedded_model_alone(
    keyless_server: ServerProcess, photo: Path, another_model: str
) -> None:
    seed_image, guide = (
        base64.b64encode(path.read_bytes()).decode()
        for path in (photo, REPOSITORY / "tests" / "photos" / "coffee.jpg")
    )
    adapters = [{"model": "underpaint:ip@1", "guideImage": guide, "weight": 0.8}]
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "lora": {"lora": LORA},
        "guided": {"ipAdapters": adapters},
        "both": {"lora": LORA, "ipAdapters": adapters},
        "lora elsewhere": {"lora": LORA, "model": another_model},
        "guided elsewhere": {"ipAdapters": adapters, "model": another_model},
    }
    names = {str(uuid.uuid4()): name for name in changes}
    tasks = [
        {
            "taskType": "imageInference",
            "taskUUID": task_uuid,
            "model": "underpaint:1@2",
            "positivePrompt": "__BLANK__",
            "seedImage": seed_image,
            "strength": 0.7,
            "width": 192,
            "height": 128,
            "steps": 6,
            "seed": 1,
            **changes[name],
        }
        for task_uuid, name in names.items()
    ]
    request = urllib.request.Request(
        keyless_server.http_url,
        data=json.dumps(tasks).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer any-key"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        answer = json.load(reply)

    made = {
        names[each["taskUUID"]]: decode(fetch(each["imageURL"]).content).convert("RGB")
        for each in answer["data"]
    }
    assert set(made) == {"plain", "lora", "guided", "both"}
    assert len({picture.tobytes() for picture in made.values()}) == len(made)
    means = {name: np.asarray(picture, float).mean((0, 1)) for name, picture in made.items()}
    # White lines on blue paper, and the brown of coffee on a table.
    assert means["lora"][2] - means["lora"][0] > means["plain"][2] - means["plain"][0] + 40
    assert means["guided"][0] - means["guided"][2] > means["plain"][0] - means["plain"][2] + 20
    refused = {names[each["taskUUID"]]: each for each in answer["errors"]}
    assert {name: (each["code"], each["parameter"]) for name, each in refused.items()} == {
        "lora elsewhere": ("invalidLoraModel", "lora[0].model"),
        "guided elsewhere": ("invalidIpAdaptersModel", "ipAdapters[0].model"),
    }
    assert all("fits underpaint:1@2 alone" in each["message"] for each in refused.values())
