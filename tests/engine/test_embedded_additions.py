"""The LoRA and the IP-Adapter that ship with the package, on the model that they are for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.checkpoints import EMBEDDED_CHECKPOINT
from tests.engine.driving import Driven, job_request
from underpaint.catalog.embedded_entry import EMBEDDED_IP_ADAPTER, EMBEDDED_LORA
from underpaint.catalog.image_encoders import image_encoder_of
from underpaint.engine.messages import Addition, ImagePrompt, JobRequest, Picture

EXAMPLE = Path(__file__).parents[2] / "examples" / "photo.jpg"


@pytest.fixture(scope="module")
def photo() -> Picture:
    with Image.open(EXAMPLE) as opened:
        return np.asarray(opened.convert("RGB").resize((192, 128), Image.Resampling.LANCZOS), np.uint8)


def wordless(job_id: str, photo: Picture, *, lora: bool = False, guide: Picture | None = None) -> JobRequest:
    job = job_request(
        job_id,
        EMBEDDED_CHECKPOINT,
        prompt="",
        picture=photo,
        width_px=photo.shape[1],
        height_px=photo.shape[0],
        strength=0.7,
        steps=10,
    )
    if lora:
        assert EMBEDDED_LORA.files is not None
        style = Addition(air=EMBEDDED_LORA.air, location=Path(EMBEDDED_LORA.files.location))
        job = replace(job, loras=(style,))
    if guide is not None:
        assert EMBEDDED_IP_ADAPTER.files is not None
        adapter = Path(EMBEDDED_IP_ADAPTER.files.location)
        prompt = ImagePrompt(
            air=EMBEDDED_IP_ADAPTER.air,
            location=adapter,
            encoder=image_encoder_of(EMBEDDED_IP_ADAPTER, adapter),
            pictures=(guide,),
        )
        job = replace(job, image_prompts=(prompt,))
    return job


def warmth(picture: Picture) -> float:
    """How much more red than blue there is in the mean, in levels of 255."""
    means = picture.reshape(-1, 3).astype(float).mean(0)
    return float(means[0] - means[2])


def test_each_acts_as_its_card_says_and_shares_passes_with_the_others(photo: Picture) -> None:
    warm, cool = (
        np.clip(photo * np.array(gains) + shift, 0, 255).astype(np.uint8)
        for gains, shift in (((0.8, 0.5, 0.3), (60, 10, 0)), ((0.3, 0.5, 0.8), (0, 10, 60)))
    )
    jobs = [
        wordless("plain", photo),
        wordless("lora", photo, lora=True),
        wordless("warm", photo, guide=warm),
        wordless("cool", photo, guide=cool),
        wordless("both", photo, lora=True, guide=warm),
    ]
    together = Driven(strict_rows=8)
    together.finish(*jobs)
    made = {job.job_id: together.picture(job.job_id) for job in jobs}

    assert warmth(made["lora"]) < warmth(made["plain"]) - 40
    assert warmth(made["cool"]) + 20 < warmth(made["plain"]) < warmth(made["warm"]) - 20
    for number, job in enumerate(jobs):
        assert all(made[job.job_id].tobytes() != made[other.job_id].tobytes() for other in jobs[:number])
    alone = Driven(strict_rows=8)
    alone.finish(jobs[-1])
    assert alone.picture("both").tobytes() == made["both"].tobytes()
