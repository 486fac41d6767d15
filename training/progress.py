"""What keeps a long run honest: a clock of compute spent, checkpoints, a log, and curves as a picture."""

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from training.fields import Picture


class ComputeClock:
    """Minutes of compute that a stage has had, over all its runs.

    On a CPU it counts processor time divided by the threads in use, so that a run which is starved or
    stopped by other work does not use up its budget; on CUDA it counts wall time.
    """

    def __init__(self, device: torch.device, spent_minutes: float = 0.0) -> None:
        """Start counting on top of what earlier runs spent."""
        self._on_cpu = device.type == "cpu"
        self._before = spent_minutes
        self._start = self._now()

    def _now(self) -> float:
        if self._on_cpu:
            return time.process_time() / torch.get_num_threads() / 60
        return time.monotonic() / 60

    @property
    def minutes(self) -> float:
        """Minutes spent so far."""
        return self._before + self._now() - self._start


def cosine_rate(fraction: float, step: int, warmup_steps: int = 50, floor: float = 0.03) -> float:
    """Share of the base learning rate: a linear warm-up of each run, then a cosine over the whole budget."""
    fraction = min(max(fraction, 0.0), 1.0)
    return min(1.0, (step + 1) / warmup_steps) * (
        floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fraction))
    )


class Average:
    """Exponential moving average of a model's parameters; what is evaluated and exported."""

    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999) -> None:
        """Start from the parameters as they are."""
        self._live = list(parameters)
        self._decay = decay
        self.values = [p.detach().clone() for p in self._live]
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move toward the live parameters, faster in the first steps."""
        self._steps += 1
        decay = min(self._decay, (self._steps + 1) / (self._steps + 20))
        torch._foreach_lerp_(self.values, [p.detach() for p in self._live], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live and averaged parameters; call again to go back."""
        for live, average in zip(self._live, self.values, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"values": self.values, "steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        for mine, saved in zip(self.values, state["values"], strict=True):
            mine.copy_(saved)
        self._steps = int(state["steps"])


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a stop at any moment leaves the old or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The checkpoint, or None where there is none."""
    if not path.exists():
        return None
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


class Journal:
    """A log of numbers as JSON lines, printed as they come and drawn as curves."""

    def __init__(self, path: Path) -> None:
        """Append to ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._path = path

    def write(self, **numbers: float) -> None:
        """Log one line."""
        line = {name: round(float(value), 5) for name, value in numbers.items()}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(time.strftime("%H:%M:%S"), " ".join(f"{k}={v:g}" for k, v in line.items()), flush=True)

    def draw(self, picture: Path, x: str, names: Sequence[str]) -> None:
        """Draw each named number over ``x``, one panel each, as a PNG."""
        lines = [json.loads(line) for line in self._path.read_text().splitlines()]
        panels = [
            curve_panel([(row[x], row[n]) for row in lines if n in row], f"{n} over {x}") for n in names
        ]
        Image.fromarray(np.vstack(panels)).save(picture)


def curve_panel(
    points: list[tuple[float, float]], title: str, width: int = 720, height: int = 180
) -> Picture:
    """One curve with its range written on it."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    if len(points) > 1:
        xs, ys = np.array(points).T
        low, high = float(np.percentile(ys, 1)), float(np.percentile(ys, 99))
        across = (xs - xs[0]) / max(float(np.ptp(xs)), 1e-9) * (width - 20) + 10
        up = height - 12 - (np.clip(ys, low, high) - low) / max(high - low, 1e-9) * (height - 36)
        draw.line(list(zip(across.tolist(), up.tolist(), strict=True)), fill=(20, 90, 200), width=2)
        title += f": {ys[-1]:.4g} at {xs[-1]:.4g} (shown {low:.4g} to {high:.4g})"
    draw.text((10, 4), title, fill="black")
    return np.asarray(image)


def parameter_millions(model: nn.Module) -> float:
    """Number of parameters in millions."""
    return sum(p.numel() for p in model.parameters()) / 1e6
