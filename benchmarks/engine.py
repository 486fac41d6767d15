"""Pictures per second of the engine, for jobs alone and together, beside diffusers' own pipeline.

    python benchmarks/engine.py --pictures 8 --rounds 3

All sides do the same image-to-image jobs with the same model on the same device, in turns, so that what else the
machine does weighs on all of them alike. The median of the rounds counts.
"""

# ruff: noqa: E402, how threads wait is settled before torch is loaded.
from underpaint.engine.threads import let_threads_sleep

let_threads_sleep()

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.strength import steps_to_run
from underpaint.embedded import checkpoint_dir
from underpaint.engine.engine import Engine
from underpaint.engine.messages import EngineOptions, Event, Failed, JobRequest, ModelReference, Picture

PROMPT = "a house by the sea, watercolor"
NEGATIVE_PROMPT = "people"
GUIDANCE_SCALE = 7.0


class Ours:
    """The engine in this process, without the pipe that a server has in between."""

    def __init__(self, wanted: argparse.Namespace, picture: Picture) -> None:
        self._wanted = wanted
        self._picture = picture
        self.engine = Engine(
            EngineOptions(threads=wanted.threads, max_rows=2 * wanted.pictures), emit=self._hear
        )

    def one_by_one(self) -> None:
        for seed in range(self._wanted.pictures):
            self._finish([self._request(seed)])

    def together(self) -> None:
        self._finish([self._request(seed) for seed in range(self._wanted.pictures)])

    def _finish(self, requests: list[JobRequest]) -> None:
        self.engine.submit(requests)
        while self.engine.busy:
            self.engine.tick()

    def _request(self, seed: int) -> JobRequest:
        wanted = self._wanted
        return JobRequest(
            job_id=str(seed),
            owner="benchmark",
            model=ModelReference(architecture="sd1x", location=wanted.model),
            prompt=PROMPT,
            negative_prompt=NEGATIVE_PROMPT,
            width_px=wanted.size,
            height_px=wanted.size,
            steps=wanted.steps,
            guidance_scale=GUIDANCE_SCALE,
            scheduler="DDIM",
            seed=seed,
            strength=wanted.strength,
            picture=self._picture,
        )

    def _hear(self, event: Event) -> None:
        if isinstance(event, Failed):
            raise RuntimeError(event.message)


class Theirs:
    """diffusers' pipeline, which makes one picture after the other for requests that come one after the other."""

    def __init__(self, wanted: argparse.Namespace, picture: Picture, device: torch.device) -> None:
        with quiet_libraries():
            from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

        self._wanted = wanted
        self._picture = Image.fromarray(picture)
        dtype = torch.float32 if device.type == "cpu" else torch.float16
        with quiet_libraries():
            self._pipeline: Any = StableDiffusionImg2ImgPipeline.from_pretrained(
                wanted.model, safety_checker=None, dtype=dtype
            ).to(device)
        self._pipeline.scheduler = DDIMScheduler.from_config(self._pipeline.scheduler.config)
        self._pipeline.set_progress_bar_config(disable=True)

    def one_by_one(self) -> None:
        for seed in range(self._wanted.pictures):
            self._pipeline(
                PROMPT,
                image=self._picture,
                negative_prompt=NEGATIVE_PROMPT,
                strength=(steps_to_run(self._wanted.steps, self._wanted.strength) + 0.5) / self._wanted.steps,
                num_inference_steps=self._wanted.steps,
                guidance_scale=GUIDANCE_SCALE,
                generator=torch.Generator("cpu").manual_seed(seed),
            )


def seconds(work: Callable[[], None]) -> float:
    """How long it takes. What it does ends on the CPU, so no device is still at work afterwards."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print a table."""
    options = argparse.ArgumentParser(
        description="Pictures per second: the engine beside diffusers' pipeline."
    )
    options.add_argument(
        "--model",
        type=Path,
        default=checkpoint_dir(EMBEDDED.air.partition(":")[2]),
        help="a diffusers folder",
    )
    options.add_argument("--size", type=int, default=256, help="width and height in pixels")
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--strength", type=float, default=0.79)
    options.add_argument("--pictures", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=None, help="CPU threads of torch")
    wanted = options.parse_args()
    if wanted.steps * wanted.strength < 0.5:
        options.error("strength x steps must come to at least one step")

    picture = np.random.default_rng(0).integers(0, 256, (wanted.size, wanted.size, 3), np.uint8)
    ours = Ours(wanted, picture)
    theirs = Theirs(wanted, picture, ours.engine.device)
    contenders: dict[str, Callable[[], None]] = {
        "diffusers, one by one": theirs.one_by_one,
        "underpaint, one by one": ours.one_by_one,
        "underpaint, all at once": ours.together,
    }
    for work in contenders.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(wanted.rounds):
        for name, work in contenders.items():
            taken[name].append(seconds(work))

    speeds = {name: wanted.pictures / statistics.median(times) for name, times in taken.items()}
    reference = speeds["diffusers, one by one"]
    table = Table("", "pictures/s", "ratio to diffusers")
    for name, speed in speeds.items():
        table.add_row(name, f"{speed:.2f}", f"{speed / reference:.2f}")
    console = Console()
    console.print(
        f"{wanted.pictures} pictures of {wanted.size} x {wanted.size}, "
        f"{steps_to_run(wanted.steps, wanted.strength)} steps with guidance, on {ours.engine.device}, "
        f"{torch.get_num_threads()} CPU threads, median of {wanted.rounds} rounds"
    )
    console.print(table)


if __name__ == "__main__":
    main()
