"""What the benchmarks share: the two sides that are compared, turns between them, and the report.

Both sides do the same image-to-image requests with the same weights in one process, in turns, so that what else the
machine does weighs on both alike. Medians count.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from underpaint.catalog.embedded_entry import EMBEDDED
from underpaint.diffusion.quiet import quiet_arithmetic, quiet_libraries
from underpaint.diffusion.sampler import build_scheduler
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS
from underpaint.diffusion.strength import steps_to_run
from underpaint.embedded import checkpoint_dir
from underpaint.engine.engine import Engine
from underpaint.engine.executors import compiled_precision
from underpaint.engine.messages import (
    DeepCache,
    EngineOptions,
    Event,
    Failed,
    Finished,
    JobRequest,
    ModelReference,
    Picture,
)

EMBEDDED_MODEL = checkpoint_dir(EMBEDDED.air.partition(":")[2])


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A request, as both sides are given it."""

    prompt: str = "a house by the sea, watercolor"
    negative_prompt: str = "people"
    size_px: int = 256
    steps: int = 20
    strength: float = 0.8
    guidance_scale: float = 7.0
    scheduler: str = "Default"
    seed: int = 1
    deep_cache: DeepCache | None = None
    """Only the engine has it."""
    picture: Picture = field(repr=False)
    """`size_px` wide and high."""

    @property
    def steps_to_run(self) -> int:
        return steps_to_run(self.steps, self.strength)

    def varied(self, number: int) -> "Asked":
        """The same amount of work on another picture and prompt, so that nothing kept from the last one helps."""
        return replace(
            self,
            prompt=f"{self.prompt}, number {number}",
            picture=photo(self.size_px, number),
            seed=self.seed + number,
        )


LONGEST_PREPARATION_S = 600.0


def photo(size_px: int, number: int = 0) -> Picture:
    """A picture with slopes, shapes and grain; another one for every number."""
    dice = np.random.default_rng(number)
    rows, columns = np.mgrid[0:size_px, 0:size_px] / size_px
    picture = np.stack([rows, columns, 0.5 * (rows + columns)], axis=2) * dice.uniform(80, 220, 3)
    for _ in range(12):
        x, y = dice.uniform(0, 1, 2)
        radius = dice.uniform(0.03, 0.2)
        picture[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = dice.uniform(0, 255, 3)
    grained = picture + dice.normal(0, 4, picture.shape)
    return grained.clip(0, 255).astype(np.uint8)


class Ours:
    """The engine in this process, without the pipe that a server has in between."""

    def __init__(self, model: Path, **options: Any) -> None:
        """Load the model. `options` are those of `EngineOptions`."""
        self.model = ModelReference(architecture="sd1x", location=model)
        self.finished: dict[str, Finished] = {}
        self.engine = Engine(EngineOptions(preload=self.model, **options), emit=self._hear)
        self.runs_in = self._compiled_precision()
        """Precision of OpenVINO's passes; None where PyTorch runs them."""
        self._count = 0

    def submit(self, *asked: Asked, owner: str = "benchmark") -> list[str]:
        """Hand requests over together, and give the identifiers of their jobs."""
        jobs = [self._job(one, owner) for one in asked]
        self.engine.submit(jobs)
        return [job.job_id for job in jobs]

    def paint(self, *asked: Asked) -> list[Finished]:
        """Run requests to their end, submitted together."""
        job_ids = self.submit(*asked)
        while self.engine.busy:
            self.engine.tick()
        return [self.finished.pop(job_id) for job_id in job_ids]

    def _compiled_precision(self) -> str | None:
        """Known when what will serve is there, so that it is measured, and not PyTorch in the meantime."""
        model = self.engine.model(self.model)
        give_up_s = time.monotonic() + LONGEST_PREPARATION_S
        while self.engine.is_preparing and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return compiled_precision(model)

    def _job(self, asked: Asked, owner: str) -> JobRequest:
        self._count += 1
        return JobRequest(
            job_id=str(self._count),
            owner=owner,
            model=self.model,
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            width_px=asked.size_px,
            height_px=asked.size_px,
            steps=asked.steps,
            guidance_scale=asked.guidance_scale,
            scheduler=asked.scheduler,
            seed=asked.seed,
            strength=asked.strength,
            picture=asked.picture,
            deep_cache=asked.deep_cache,
        )

    def _hear(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.finished[event.job_id] = event
        elif isinstance(event, Failed) and event.code != "cancelled":
            raise RuntimeError(event.message)


class Theirs:
    """diffusers' image-to-image pipeline in its default settings, which makes one picture after the other."""

    def __init__(self, model: Path, device: torch.device) -> None:
        with quiet_libraries():
            from diffusers import StableDiffusionImg2ImgPipeline

            self._pipeline: Any = StableDiffusionImg2ImgPipeline.from_pretrained(
                model,
                safety_checker=None,
                dtype=torch.float32 if device.type == "cpu" else torch.float16,
            ).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._config = dict(self._pipeline.scheduler.config)

    def paint(self, asked: Asked) -> Picture:
        """One picture, with as many steps as the engine runs."""
        choice = STABLE_DIFFUSION_SCHEDULERS[asked.scheduler]
        self._pipeline.scheduler = build_scheduler(choice, self._config, seed=asked.seed)
        with quiet_arithmetic():
            painted = self._pipeline(
                asked.prompt,
                image=Image.fromarray(asked.picture),
                negative_prompt=asked.negative_prompt,
                # diffusers truncates steps x strength; the half keeps clear of that.
                strength=min(1.0, (asked.steps_to_run + 0.5) / asked.steps),
                num_inference_steps=asked.steps,
                guidance_scale=asked.guidance_scale,
                generator=torch.Generator("cpu").manual_seed(asked.seed),
            )
        return np.asarray(painted.images[0])


def seconds(work: Callable[[], object]) -> float:
    """How long it takes. What it does ends on the CPU, so no device is still at work afterwards."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def in_turns(
    sides: Mapping[str, Callable[[int], object]], *, rounds: int, limit_s: float
) -> dict[str, list[float]]:
    """Seconds of each side by round. No round begins after `limit_s`, except the first.

    Args:
        sides: work by name; it is given the number of the round.
        rounds: how often each runs. Every other round goes through the sides backwards.
        limit_s: seconds in all.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    began_s = time.monotonic()
    for number in range(rounds):
        if number and time.monotonic() - began_s > limit_s:
            break
        for name in list(sides)[:: -1 if number % 2 else 1]:
            work = sides[name]
            taken[name].append(seconds(lambda: work(number)))  # noqa: B023, called at once
    return taken


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times as fast, round by round: each round saw both sides under the same load."""
    return spread([one / other for one, other in zip(slow, fast, strict=True)], digits=3)


def options_of(description: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """A parser with the options that all have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--model", type=Path, default=EMBEDDED_MODEL, help="a diffusers folder; else the embedded model"
    )
    options.add_argument("--threads", type=int, default=None, help="CPU threads of torch; else one a core")
    options.add_argument(
        "--executor", choices=("auto", "eager", "openvino"), default="auto", help="of the engine"
    )
    options.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="of the engine"
    )
    if rounds is not None:
        options.add_argument("--rounds", type=int, default=rounds)
    return options


def engine_options_of(wanted: argparse.Namespace) -> dict[str, Any]:
    """What the options say of the engine, for `Ours`."""
    return {"threads": wanted.threads, "executor": wanted.executor, "dtype": wanted.dtype}


def report(name: str, *, line: str, met: Mapping[str, bool], **figures: object) -> None:
    """One JSON document on standard output, and one line for people on standard error.

    Args:
        name: of the benchmark.
        line: what came out, in a sentence.
        met: whether what the project demands of itself was met, by demand.
        figures: whatever else belongs into the document.
    """
    document = {"benchmark": name, **figures, "met": dict(met), "machine": _machine()}
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    missed = [demand for demand, is_met in met.items() if not is_met]
    sys.stderr.write(f"{name}: {line}" + (f" MISSED: {'; '.join(missed)}" if missed else "") + "\n")


def _machine() -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": psutil.cpu_count(logical=True),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_average": psutil.getloadavg()[0],
    }
