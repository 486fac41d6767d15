"""The autoencoder: pictures to latents of an eighth of the size and back.

An ``AutoencoderTiny`` of diffusers: plain residual convolutions, no attention, so any size works and
decoding is cheap. Latents have ``LATENT_CHANNELS`` channels; raw ones are kept at zero mean and deviation
0.5 per channel (the decoder's first step is ``3 tanh(z / 3)``, nearly the identity there), so with
``scaling_factor`` 2 the denoiser sees unit variance.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from training.fields import Picture
from training.muon import Muon, muon_groups
from training.precision import fast_autocast
from training.progress import Average, ComputeClock, Journal, cosine_rate, load_checkpoint, save_checkpoint
from training.shards import Shard, complete_shards, has_pictures, load_shard

LATENT_CHANNELS = 12
LATENT_DEVIATION = 0.5
LATENT_NOISE = 0.05
CELL_PX = 8


def build_autoencoder(width: int = 32) -> AutoencoderTiny:
    """A new autoencoder."""
    return AutoencoderTiny(
        encoder_block_out_channels=(width,) * 4,
        decoder_block_out_channels=(width,) * 4,
        num_encoder_blocks=(1, 2, 3, 4),
        num_decoder_blocks=(4, 3, 2, 1),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1 / LATENT_DEVIATION,
    )


def to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 ``(n, h, w, 3)`` to ``(n, 3, h, w)`` in -1..1."""
    scaled = torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=torch.channels_last)


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """``(n, 3, h, w)`` in -1..1 to uint8 ``(n, h, w, 3)``."""
    values = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return values.permute(0, 2, 3, 1).cpu().numpy()


def random_crops(rng: np.random.Generator, shards: list[Shard], count: int, size_px: int) -> Picture:
    """Crops at whole latent cells, so that pixel art keeps the phase that it has in use; some are
    recolored.
    """
    crops = []
    for _ in range(count):
        shard = shards[int(rng.integers(len(shards)))]
        picture = shard.pictures[int(rng.integers(len(shard.pictures)))]
        top, left = (
            int(rng.integers(0, (side - size_px) // CELL_PX + 1)) * CELL_PX for side in picture.shape[:2]
        )
        crop = picture[top : top + size_px, left : left + size_px]
        if rng.random() < 0.25:
            factors, shift = rng.uniform(0.6, 1.4, 3), rng.uniform(-40, 40, 3)
            crop = np.clip((crop - 128.0) * factors + 128 + shift, 0, 255).astype(np.uint8)
        if rng.random() < 0.5:
            crop = crop.transpose(1, 0, 2)
        crops.append(crop)
    return np.stack(crops)


def gradient_error(difference: Tensor) -> Tensor:
    """Mean absolute error of neighbor differences: blur costs, a constant offset does not."""
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def latent_penalty(latents: Tensor) -> Tensor:
    """Squared distance of each channel's mean from 0 and deviation from ``LATENT_DEVIATION``."""
    deviation = latents.var((0, 2, 3)).add(1e-6).sqrt()
    return (latents.mean((0, 2, 3)).square() + (deviation - LATENT_DEVIATION).square()).mean()


def reconstruction_loss(encoder: nn.Module, decoder: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The training loss and the plain squared error."""
    latents = encoder(images)
    restored = decoder(latents + LATENT_NOISE * torch.randn_like(latents))
    difference = restored.float() - images
    halves = F.avg_pool2d(difference, 4)
    squared = difference.square().mean()
    loss = difference.abs().mean() + 2 * squared + 0.5 * gradient_error(difference) + halves.abs().mean()
    return loss + 0.3 * latent_penalty(latents.float()), squared


def psnr_db(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures."""
    error = np.square(first.astype(np.float64) - second.astype(np.float64)).mean()
    return 10 * math.log10(255**2 / max(error, 1e-9))


@torch.no_grad()
def reconstruct(
    model: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device
) -> NDArray[np.uint8]:
    """Encode and decode uint8 pictures one by one."""
    model.eval()
    restored = [to_pictures(model.decoder(model.encoder(to_tensor(p[None], device)))) for p in pictures]
    model.train()
    return np.concatenate(restored)


def save_comparison(path: Path, pictures: NDArray[np.uint8], restored: NDArray[np.uint8]) -> None:
    """Originals above, reconstructions below."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack([np.hstack(list(pictures)), np.hstack(list(restored))])).save(path)


def crop_plan(fraction: float) -> tuple[int, int]:
    """(crop size, batch): small crops first, larger ones for the last third."""
    return (64, 16) if fraction < 0.65 else (128, 5)


class AutoencoderTraining:
    """Training of an autoencoder, or of its decoder alone; goes on from the last checkpoint."""

    def __init__(
        self,
        model: AutoencoderTiny,
        folder: Path,
        shard_folder: Path,
        judged: NDArray[np.uint8],
        device: torch.device,
        *,
        decoder_only: bool = False,
    ) -> None:
        """Restore ``folder/checkpoint.pt`` where there is one.

        Args:
            model: What to train.
            folder: Holds ``checkpoint.pt``, ``log.jsonl``, ``curves.png`` and ``reconstructions.png``.
            shard_folder: Rendered pictures to learn from; looked at again now and then, since more may come.
            judged: uint8 ``(n, 256, 256, 3)`` pictures that are not trained on, for the log.
            device: Where to train.
            decoder_only: Leave the encoder, and so the latents, as they are.
        """
        self.model = model.to(device=device, memory_format=torch.channels_last)
        self._folder, self._shard_folder, self._judged, self._device = folder, shard_folder, judged, device
        self._decoder_only = decoder_only
        model.encoder.requires_grad_(not decoder_only)
        self._optimizer = Muon(muon_groups(model, 2e-3, 1e-3, skip=("decoder.layers.0.",)))
        self._average = Average(model.parameters())
        self._journal = Journal(folder / "log.jsonl")
        self._step, spent = 0, 0.0
        saved = load_checkpoint(folder / "checkpoint.pt")
        if saved:
            model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._average.restore(saved["average"])
            self._step, spent = saved["step"], saved["minutes"]
        self._clock = ComputeClock(device, spent)
        self._rng = np.random.default_rng([self._step, 7])

    def run(self, minutes: float) -> None:
        """Train until ``minutes`` of compute are spent over all runs; leaves the averaged weights in the model."""
        last_saved = self._clock.minutes
        recent: list[tuple[float, float]] = []
        for run_step, images in enumerate(self._batches(minutes)):
            rate = cosine_rate(self._clock.minutes / minutes, run_step)
            recent.append(self._train_step(images, rate))
            if self._step % 250 == 0:
                loss, psnr = np.mean(recent, 0)
                recent = []
                self._journal.write(
                    step=self._step, minutes=self._clock.minutes, loss=loss, train_psnr_db=psnr, rate=rate
                )
            if self._clock.minutes - last_saved > 2 or self._clock.minutes >= minutes:
                last_saved = self._clock.minutes
                self._report()
                self._save()
        self._average.swap()
        self.model.eval()

    def _train_step(self, images: Tensor, rate: float) -> tuple[float, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        with fast_autocast(self._device):
            loss, squared = reconstruction_loss(self.model.encoder, self.model.decoder, images)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._average.update()
        self._step += 1
        return loss.item(), 10 * math.log10(4 / squared.item())

    def _batches(self, minutes: float) -> Iterator[Tensor]:
        """Batches until the budget is spent."""
        drawn = 0
        while self._clock.minutes < minutes:
            if drawn % 500 == 0:
                shards = [
                    load_shard(path) for path in complete_shards(self._shard_folder) if has_pictures(path)
                ]
            drawn += 1
            size_px, count = crop_plan(1.0 if self._decoder_only else self._clock.minutes / minutes)
            yield to_tensor(random_crops(self._rng, shards, count, size_px), self._device)

    def _report(self) -> None:
        """Log and show what the averaged weights make of the judged photos."""
        self._average.swap()
        restored = reconstruct(self.model, self._judged, self._device)
        self._average.swap()
        ratios = [psnr_db(a, b) for a, b in zip(self._judged, restored, strict=True)]
        self._journal.write(
            step=self._step,
            minutes=self._clock.minutes,
            judged_psnr_db=float(np.mean(ratios)),
            worst_db=min(ratios),
        )
        save_comparison(self._folder / "reconstructions.png", self._judged, restored)
        self._journal.draw(
            self._folder / "curves.png", "minutes", ("loss", "train_psnr_db", "judged_psnr_db")
        )

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.state(),
            "step": self._step,
            "minutes": self._clock.minutes,
        }
        save_checkpoint(self._folder / "checkpoint.pt", state)
