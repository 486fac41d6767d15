"""Whatever parameter a URL comes in: it goes through the one fetcher, and an internal address is refused there."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.images.test_fetch import ok, origin
from tests.studio.conftest import Workplace, error_of, transformation
from tests.studio.test_model_upload import upload as model_upload

TASKS: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "seedImage": (lambda url: transformation(seedImage=url), "invalidSeedImage"),
    "maskImage": (lambda url: transformation(maskImage=url), "invalidMaskImage"),
    "image": (lambda url: {"taskType": "imageUpload", "taskUUID": "a", "image": url}, "invalidImage"),
    "media": (
        lambda url: {"taskType": "mediaStorage", "taskUUID": "a", "operation": "upload", "media": url},
        "invalidMedia",
    ),
    "webhookURL": (lambda url: transformation(webhookURL=url), "invalidWebhookURL"),
    "uploadEndpoint": (lambda url: transformation(uploadEndpoint=url), "invalidUploadEndpoint"),
    "downloadURL": (model_upload, "invalidDownloadURL"),
}
HOSTS = [
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f.1",
    "%31%32%37.0.0.1",
    "user@127.0.0.1",
]


@pytest.mark.parametrize("parameter", TASKS)
async def test_no_parameter_reaches_an_internal_address(
    open_workplace: Callable[..., Workplace], parameter: str
) -> None:
    workplace = open_workplace(model_upload_hosts="*")
    make, code = TASKS[parameter]
    async with origin(ok(b"secret")) as inside:
        for host in HOSTS:
            error = error_of(await workplace.perform(make(f"http://{host}:{inside.port}/x")))
            assert (error["code"], error["parameter"]) == (code, parameter), (host, error)
        assert inside.requests == []
    assert workplace.engine.jobs == []
