"""Training something small beside a model that stays as it is: the loop that the LoRA and the IP-Adapter share."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.captions import USUAL_NEGATIVES
from training.export import image_to_image
from training.muon import Muon
from training.progress import Average, ComputeClock, Journal, cosine_rate, load_checkpoint, save_checkpoint
from training.tokenizer import load_tokenizer, token_ids

CHECKPOINT_MINUTES = 1.0


class FrozenModel:
    """A model folder whose weights are not trained.

    Attributes:
        autoencoder: Pictures to latents and back.
        text_encoder: Captions to states.
        tokenizer: Captions to token ids.
        unet: The denoiser.
        empty: Token ids of the empty caption.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Read it in full precision."""
        self.autoencoder: AutoencoderTiny = _frozen(
            AutoencoderTiny.from_pretrained(folder / "vae", dtype=torch.float32), device
        )
        self.text_encoder: CLIPTextModel = _frozen(
            CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32), device
        )
        self.unet: UNet2DConditionModel = _frozen(
            UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32), device
        )
        # As in train_denoiser.py: the fused attention is slow backward on a CPU.
        self.unet.set_attn_processor(AttnProcessor())
        self.tokenizer: CLIPTokenizer = load_tokenizer(folder / "tokenizer")
        self.empty = torch.tensor(token_ids(self.tokenizer, [""])[0])
        self._negatives = torch.tensor(token_ids(self.tokenizer, list(USUAL_NEGATIVES)))

    def pipeline(self) -> StableDiffusionImg2ImgPipeline:
        """The stock image-to-image pipeline over the parts, with what has been added to them."""
        return image_to_image(self.autoencoder, self.text_encoder, self.tokenizer, self.unet)

    def draw_negatives(self, generator: torch.Generator, count: int) -> Tensor:
        """Token ids for the unconditional half: empty, or in a fifth of the rows what people usually want to avoid."""
        avoided = self._negatives[torch.randint(len(self._negatives), (count,), generator=generator)]
        some = torch.rand(count, generator=generator)[:, None] < 0.2
        return torch.where(some, avoided, self.empty.expand(count, -1))


def _frozen(network: Any, device: torch.device) -> Any:
    layout = torch.contiguous_format if isinstance(network, CLIPTextModel) else torch.channels_last
    return network.to(device=device, memory_format=layout).eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class AdaptingPlan:
    """How long, and in which steps.

    Attributes:
        minutes: Compute budget over all runs.
        sample_minutes: Compute between two sheets of samples.
        rows: Rows that go through the UNet in one step, as 16x16 latents; larger ones are fewer.
        guided_from: Share of the budget after which half of the steps also train the guided sum.
    """

    minutes: float
    sample_minutes: float = 5.0
    rows: int = 32
    guided_from: float = 0.15


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a training step is to do.

    Attributes:
        fraction: Of the budget that is spent.
        side: Of the latent crops.
        count: Samples.
        guided: Whether the guided sum is trained too.
    """

    fraction: float
    side: int
    count: int
    guided: bool


Loss = Callable[[torch.Generator, Step], dict[str, Tensor]]
"""Losses by name; their sum is what is made less."""


class Adapting:
    """State of a training; `run` goes on from the last checkpoint."""

    def __init__(
        self,
        folder: Path,
        trained: nn.Module,
        groups: list[dict[str, Any]],
        plan: AdaptingPlan,
        device: torch.device,
    ) -> None:
        """Restore ``trained`` from ``folder/checkpoint.pt`` where there is one.

        Args:
            folder: Of checkpoints, log and curves.
            trained: Holds every parameter that is trained, and none other.
            groups: Of the optimizer, from `muon_groups`.
            plan: How long.
            device: Where.
        """
        self._folder, self._trained, self._plan = folder, trained, plan
        self._parameters = list(trained.parameters())
        self._optimizer = Muon(groups)
        self._average = Average(self._parameters, decay=0.995)
        self._journal = Journal(folder / "log.jsonl")
        self.step, spent = 0, 0.0
        saved = load_checkpoint(folder / "checkpoint.pt")
        if saved:
            trained.load_state_dict(saved["trained"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._average.restore(saved["average"])
            self.step, spent = saved["step"], saved["minutes"]
        self._clock = ComputeClock(device, spent)
        self._generator = torch.Generator().manual_seed(self.step)

    @property
    def minutes(self) -> float:
        """Compute spent."""
        return self._clock.minutes

    def run(self, loss: Loss, show: Callable[[int], None]) -> None:
        """Train until the budget is spent.

        Args:
            loss: Of one step.
            show: Called now and then and at the end with the number of steps, while the averaged weights are in place.
        """
        run_step, last_saved = 0, self.minutes
        next_sheet = self.minutes // self._plan.sample_minutes + 1
        recent: list[dict[str, float]] = []
        while self.minutes < self._plan.minutes:
            fraction = self.minutes / self._plan.minutes
            rate = cosine_rate(fraction, run_step)
            for group in self._optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate
            recent.append(self._train_step(loss, fraction))
            self.step, run_step = self.step + 1, run_step + 1
            if self.step % 50 == 0:
                self._log(recent)
                recent = []
            if self.minutes - last_saved > CHECKPOINT_MINUTES:
                self.save()
                last_saved = self.minutes
            if self.minutes >= next_sheet * self._plan.sample_minutes:
                self._show(show)
                next_sheet += 1
        if recent:
            self._log(recent)
        self.save()
        self._show(show)

    def _train_step(self, loss: Loss, fraction: float) -> dict[str, float]:
        draws = torch.rand(2, generator=self._generator).tolist()
        side = 32 if draws[0] < 0.3 else 16
        guided = fraction >= self._plan.guided_from and draws[1] < 0.5
        count = max(1, self._plan.rows // (2 if guided else 1) // (4 if side == 32 else 1))
        losses = loss(self._generator, Step(fraction=fraction, side=side, count=count, guided=guided))
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._average.update()
        return {name: value.item() for name, value in losses.items()}

    def _log(self, recent: list[dict[str, float]]) -> None:
        names = sorted({name for losses in recent for name in losses})
        means = {name: np.mean([losses[name] for losses in recent if name in losses]) for name in names}
        self._journal.write(step=self.step, minutes=self.minutes, **{n: float(m) for n, m in means.items()})

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "trained": self._trained.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.state(),
            "step": self.step,
            "minutes": self.minutes,
        }
        save_checkpoint(self._folder / "checkpoint.pt", state)

    def _show(self, show: Callable[[int], None]) -> None:
        self._journal.draw(self._folder / "curves.png", "minutes", ("plain", "guided"))
        self._average.swap()
        show(self.step)
        self._average.swap()


def command_line(name: str, description: str | None, words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line of an adapter's training, make its folder and set the number of threads."""
    parser = argparse.ArgumentParser(prog=f"python -m training.{name}", description=description)
    parser.add_argument("--model", type=Path, required=True, help="model folder that it is for")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="the folder given to training as --out: its shards with pictures, its downloads",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for pairs, checkpoints and what comes out"
    )
    parser.add_argument("--minutes", type=float, required=True, help="compute budget over all runs")
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="an earlier --out, to go on from the weights in it"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="processor threads (default: all)"
    )
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    return given
