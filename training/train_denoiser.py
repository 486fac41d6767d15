"""The long stage: train the denoiser, show samples as it goes, and renew the data under it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from training.captions import USUAL_NEGATIVES
from training.denoiser import (
    Batch,
    Denoiser,
    build_text_encoder,
    build_unet,
    draw_batch,
    draw_negatives,
    draw_scale,
)
from training.latents import LatentSet
from training.muon import Muon, muon_groups
from training.precision import fast_autocast
from training.progress import Average, ComputeClock, Journal, cosine_rate, load_checkpoint, save_checkpoint
from training.schedule import signal_and_noise
from training.tokenizer import token_ids

CHECKPOINT_MINUTES = 3.0
GUIDED_SHARE = 0.5


def load_weights(model: nn.Module, file: Path) -> None:
    """Load a safetensors file. Raises `RuntimeError` where it is of a model of another shape."""
    model.load_state_dict(load_file(file))


@dataclass(frozen=True, kw_only=True)
class DenoiserPlan:
    """How the denoiser is trained.

    Attributes:
        channels: Width of the UNet's three levels.
        text_width: Width of the text encoder.
        rows: Rows that go through the UNet in one step, as 16x16 latents; larger ones are fewer.
        matrix_lr: Learning rate of weight matrices (Muon).
        other_lr: Learning rate of everything else (Adam).
        minutes: Compute budget over all runs.
        sample_minutes: Compute between two sheets of samples.
        refresh_samples: Training samples between two renewals of the data.
        guided_from: Share of the budget after which half of the steps also train the guided sum: once captions are
            well understood.
    """

    channels: tuple[int, int, int] = (64, 128, 192)
    text_width: int = 256
    rows: int = 64
    matrix_lr: float = 1.5e-3
    other_lr: float = 1e-3
    minutes: float
    sample_minutes: float = 20.0
    refresh_samples: int = 15_000
    guided_from: float = 0.6


def crop_side(fraction: float, draw: float) -> int:
    """Side of the latent crops: mostly 16; the full 32 more often as training goes on."""
    return 32 if draw < (0.2 if fraction < 0.3 else 0.4) else 16


class DenoiserTraining:
    """State of the denoiser's training; ``run`` goes on from the last checkpoint."""

    def __init__(
        self,
        folder: Path,
        tokenizer: CLIPTokenizer,
        data: LatentSet,
        plan: DenoiserPlan,
        device: torch.device,
        *,
        start: Path | None = None,
    ) -> None:
        """Build the models, or restore them from ``folder/checkpoint.pt``, or else from the model folder ``start``."""
        self._folder, self._plan, self._device, self._data = folder, plan, device, data
        self._signal, self._noise = signal_and_noise(device)
        self.unet = build_unet(plan.channels, plan.text_width).to(
            device=device, memory_format=torch.channels_last
        )
        # Plain matrix products: the fused attention's backward pass took a quarter of a step on a CPU.
        self.unet.set_attn_processor(AttnProcessor())
        self.text_encoder = build_text_encoder(tokenizer, plan.text_width).to(device)
        self._denoiser = Denoiser(self.unet, self.text_encoder, self._signal, self._noise)
        self._empty = torch.tensor(token_ids(tokenizer, [""])[0])
        self._usual_negatives = torch.tensor(token_ids(tokenizer, list(USUAL_NEGATIVES)))
        both = nn.ModuleList([self.unet, self.text_encoder])
        self._parameters = list(both.parameters())
        groups = muon_groups(
            both, plan.matrix_lr, plan.other_lr, skip=("conv_in", "conv_out", "time_embedding")
        )
        saved = load_checkpoint(folder / "checkpoint.pt")
        if start is not None and not saved:
            load_weights(self.unet, start / "unet" / "diffusion_pytorch_model.safetensors")
            load_weights(self.text_encoder, start / "text_encoder" / "model.safetensors")
        self._optimizer = Muon(groups)
        self._average = Average(self._parameters)
        self._journal = Journal(folder / "log.jsonl")
        self.step, self.samples, spent = 0, 0, 0.0
        if saved:
            both.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._average.restore(saved["average"])
            self.step, self.samples, spent = saved["step"], saved["samples"], saved["minutes"]
        self._both = both
        self._clock = ComputeClock(device, spent)
        self._generator = torch.Generator().manual_seed(self.step)

    @property
    def minutes(self) -> float:
        """Compute spent."""
        return self._clock.minutes

    def run(self, refresh: Callable[[int], LatentSet], show: Callable[["DenoiserTraining"], None]) -> None:
        """Train until the budget is spent.

        Args:
            refresh: Called now and then with the number of samples so far; returns the data to go on with.
            show: Called now and then, and at the end, while the averaged weights are in the models.
        """
        run_step = 0
        last_saved = self.minutes
        next_sheet = self.minutes // self._plan.sample_minutes + 1
        next_refresh = self.samples + self._plan.refresh_samples
        recent: list[tuple[float, float, float, float]] = []
        while self.minutes < self._plan.minutes:
            fraction = self.minutes / self._plan.minutes
            rate = cosine_rate(fraction, run_step)
            for group in self._optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate
            recent.append(self._train_step(fraction))
            self.step, run_step = self.step + 1, run_step + 1
            if self.step % 50 == 0:
                self._log(recent, rate)
                recent = []
            if self.samples >= next_refresh:
                self._data = refresh(self.samples)
                next_refresh = self.samples + self._plan.refresh_samples
            if self.minutes - last_saved > CHECKPOINT_MINUTES:
                self.save()
                last_saved = self.minutes
            if self.minutes >= next_sheet * self._plan.sample_minutes:
                self._show(show)
                next_sheet += 1
        if recent:
            self._log(recent, cosine_rate(1.0, run_step))
        self.save()
        self._show(show)

    def _train_step(self, fraction: float) -> tuple[float, float, float, float]:
        draws = torch.rand(2, generator=self._generator).tolist()
        side = crop_side(fraction, draws[0])
        guided = fraction >= self._plan.guided_from and draws[1] < GUIDED_SHARE
        count = self._plan.rows // (2 if guided else 1) // (4 if side == 32 else 1)
        batch = draw_batch(self._generator, self._data, self._empty, count, side, self._device)
        with fast_autocast(self._device):
            loss, errors = self._loss(batch, guided)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._average.update()
        self.samples += count
        bridged = batch.start >= 0
        by_kind = [errors[kind].mean().item() if kind.any() else math.nan for kind in (bridged, ~bridged)]
        return loss.item(), by_kind[0], by_kind[1], float(norm)

    def _loss(self, batch: Batch, guided: bool) -> tuple[Tensor, Tensor]:
        if not guided:
            return self._denoiser.plain_loss(batch)
        count = len(batch.time)
        negatives = draw_negatives(self._generator, self._data, self._usual_negatives, self._empty, count).to(
            self._device
        )
        return self._denoiser.guided_loss(
            batch, negatives, draw_scale(self._generator, count).to(self._device)
        )

    def _log(self, recent: list[tuple[float, float, float, float]], rate: float) -> None:
        # Of few steps, all may be of one kind; the other has no error then.
        loss, bridge, plain, norm = torch.tensor(recent).nanmean(0).tolist()
        self._journal.write(
            step=self.step,
            minutes=self.minutes,
            samples=self.samples,
            loss=loss,
            bridge_error=bridge,
            plain_error=plain,
            gradient_norm=norm,
            rate=rate,
        )

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "model": self._both.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.state(),
            "step": self.step,
            "samples": self.samples,
            "minutes": self.minutes,
        }
        save_checkpoint(self._folder / "checkpoint.pt", state)

    def _show(self, show: Callable[["DenoiserTraining"], None]) -> None:
        self._journal.draw(self._folder / "curves.png", "minutes", ("loss", "bridge_error", "plain_error"))
        for _ in self.averaged():
            show(self)

    def averaged(self) -> Iterator[None]:
        """One turn of a loop during which the models hold the averaged weights."""
        self._average.swap()
        self._both.eval()
        yield
        self._both.train()
        self._average.swap()
