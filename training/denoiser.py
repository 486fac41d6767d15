"""The denoiser: text encoder and UNet, trained on ordinary diffusion and on bridges from photo to rendition.

**Bridges.** Image-to-image noises the photo to a start time and denoises from there. Trained on ordinary
diffusion only, a model needs so much noise before a style shows that the structure is gone. So most samples
lie on the exact deterministic trajectory from the *noised source* to the *rendition*: with source ``s``,
rendition ``z``, start time ``t0 >= t``, amplitudes ``a`` and ``sigma`` of the schedule and Gaussian ``e``::

    e' = e + (a[t0] / sigma[t0]) (s - z)
    x_t = a[t] z + sigma[t] e'
    v   = a[t] e' - sigma[t] z

At ``t = t0`` this is ``a s + sigma e``, exactly what the image-to-image loop starts from; at ``t = 0`` it
is the rendition. For every ``t`` it is an ordinary pair of clean latents and noise, so the model stays an
ordinary diffusion model.

**Strength.** A bridge that starts early in the schedule ends at a part of the rendition only: its target is
``s + share (z - s)``, the share growing evenly from 0 to 1 up to the start time ``COMPLETE_START``. With the whole
rendition as every bridge's target, a charcoal drawing was finished at strength 0.1. The empty caption's bridges always
end at the photo: what is not asked for must not wander.

**Guidance.** The conditional half ``c`` is always trained to be right by itself, so that guidance 1 already shows the
style. Late in training half of the steps add the error of the guided sum ``u + w (c - u)`` for random ``w``, divided by
``w`` squared, with some of the unconditional halves replaced by other captions and by what people usually want to
avoid, which is what a negative prompt is. Without the division, and without ``c``'s own error, the loss is least when
captions hardly matter: 200 such steps early in training made every prompt give the same picture.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.autoencoder import LATENT_CHANNELS
from training.latents import LatentSet
from training.schedule import TRAIN_STEPS
from training.tokenizer import MAX_TOKENS

TEXT_WIDTH = 256
BRIDGE_SHARE = 0.75
EARLIEST_START = 50
COMPLETE_START = 500
PLAIN_CAP, BRIDGE_CAP = 5.0, 1.5
RANDOM_NEGATIVES, USUAL_NEGATIVES = 0.2, 0.2
GUIDANCE_RANGE = (1.0, 15.0)
COARSE_CELL, COARSE_WEIGHT = 4, 2.0
"""Errors of means over cells of this many latents count this much on top: colors and light, which one sees first."""


def build_text_encoder(tokenizer: CLIPTokenizer, width: int = TEXT_WIDTH, layers: int = 4) -> CLIPTextModel:
    """A new text encoder in CLIP's form."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=width,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet(
    channels: tuple[int, int, int] = (64, 128, 192), text_width: int = TEXT_WIDTH
) -> UNet2DConditionModel:
    """A new UNet: three levels, attention to text and to itself on the lower two."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Training samples.

    Attributes:
        source: Latents of the photos, ``(n, channels, h, w)``.
        target: Latents that the samples end at: the renditions, or a part of the way to them.
        ids: Token ids of the renditions' captions, ``(n, MAX_TOKENS)``.
        start: Start time of each bridge, or -1 for ordinary diffusion.
        time: Time of each sample, at most its start time.
        noise: Gaussian noise.
    """

    source: Tensor
    target: Tensor
    ids: Tensor
    start: Tensor
    time: Tensor
    noise: Tensor


def column(values: Tensor) -> Tensor:
    """One value a sample, shaped to broadcast over latents."""
    return values[:, None, None, None]


def noised(batch: Batch, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The noisy latents and the velocity that the model must predict, by the formulas above."""
    start = batch.start.clamp_min(0)
    pull = torch.where(batch.start >= 0, signal[start] / noise[start], torch.zeros_like(signal[start]))
    bent = batch.noise + column(pull) * (batch.source - batch.target)
    a, s = column(signal[batch.time]), column(noise[batch.time])
    return a * batch.target + s * bent, a * bent - s * batch.target


def loss_weight(batch: Batch, signal: Tensor, noise: Tensor) -> Tensor:
    """Min-SNR weighting for v-prediction (Hang et al., 2023), with a floor for the noisiest steps.

    In terms of clean latents it weighs an error by the signal-to-noise ratio up to a cap. Ordinary samples have the
    paper's cap of 5: their error vanishes where there is little noise. On a bridge it does not, since the style is
    still to be added, and short bridges would rule the loss; their cap is ``BRIDGE_CAP``.
    """
    ratio = (signal[batch.time] / noise[batch.time]).square()
    cap = torch.where(batch.start >= 0, BRIDGE_CAP, PLAIN_CAP)
    return torch.where(
        ratio < 1, (ratio / (ratio + 1)).clamp_min(0.15), torch.minimum(ratio, cap) / (ratio + 1)
    )


def draw_times(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Times, and start times of bridges at or after them: of each pair one at random is even over its range."""
    one, other = torch.rand((2, count), generator=generator)
    early_start = EARLIEST_START + (one * (TRAIN_STEPS - EARLIEST_START)).long()
    late_time = (one * TRAIN_STEPS).long()
    late_start = (late_time + (other * (TRAIN_STEPS - late_time)).long()).clamp_min(EARLIEST_START)
    start_is_even = torch.rand(count, generator=generator) < 0.5
    start = torch.where(start_is_even, early_start, late_start)
    time = torch.where(start_is_even, (other * (early_start + 1)).long(), late_time)
    return torch.minimum(time, start), start


def draw_batch(
    generator: torch.Generator, data: LatentSet, empty: Tensor, count: int, side: int, device: torch.device
) -> Batch:
    """Random crops of random records.

    An eighth of the samples learn the empty caption: mostly to leave the photo as it is, and in ordinary diffusion
    that renditions exist too. A tenth have the photo itself as target, with its own caption.

    Half of the bridges have an even start time, so that short ones are trained too; for the others, the time is even.
    """
    full = data.latents.size(-1)

    def whole(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    bridged = torch.rand(count, generator=generator) < BRIDGE_SHARE
    sources, targets, ids = [], [], []
    for bridge in bridged.tolist():
        record = data.records[whole(len(data.records))]
        kind = whole(100)
        nameless = kind < 12
        as_it_is = kind < 22 and (bridge or not nameless or whole(4) > 0)
        chosen = record[0] if as_it_is else record[1 + whole(len(record) - 1)]
        top, left = whole(full - side + 1), whole(full - side + 1)
        window = (slice(None), slice(top, top + side), slice(left, left + side))
        sources.append(data.latents[record[0]][window])
        targets.append(data.latents[chosen][window])
        ids.append(empty if nameless else data.ids[chosen])
    time, start = draw_times(generator, count)
    source, target = torch.stack(sources).float(), torch.stack(targets).float()
    share = torch.where(bridged, (start / COMPLETE_START).clamp_max(1), torch.ones(count))
    return Batch(
        source=source.to(device),
        target=torch.lerp(source, target, column(share)).to(device),
        ids=torch.stack(ids).to(device),
        start=torch.where(bridged, start, torch.full_like(start, -1)).to(device),
        time=time.to(device),
        noise=torch.randn((count, data.latents.size(1), side, side), generator=generator).to(device),
    )


class Denoiser:
    """The UNet and its text encoder, and their training losses."""

    def __init__(
        self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, signal: Tensor, noise: Tensor
    ) -> None:
        """``signal`` and ``noise`` are the schedule's amplitudes by step."""
        self.unet, self.text_encoder = unet, text_encoder
        self._signal, self._noise = signal, noise

    def predict(self, latents: Tensor, time: Tensor, ids: Tensor) -> Tensor:
        """The velocity for noisy latents at ``time``, given token ids."""
        words = self.text_encoder(ids).last_hidden_state
        predicted: Tensor = self.unet(
            latents.contiguous(memory_format=torch.channels_last), time, words
        ).sample
        return predicted.float()

    def _weighted(self, predicted: Tensor, wanted: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        wrong = predicted - wanted
        coarse = F.avg_pool2d(wrong, COARSE_CELL).square().mean((1, 2, 3))
        weight = loss_weight(batch, self._signal, self._noise)
        errors = wrong.square().mean((1, 2, 3)) * weight
        return (errors + COARSE_WEIGHT * coarse * weight).mean(), errors.detach()

    def plain_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Weighted squared error of the prediction: its mean, and by sample."""
        latents, wanted = noised(batch, self._signal, self._noise)
        return self._weighted(self.predict(latents, batch.time, batch.ids), wanted, batch)

    def guided_loss(self, batch: Batch, negatives: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """The plain loss, and that of ``u + scale (c - u)`` over ``scale`` squared, ``u`` being given ``negatives``."""
        latents, wanted = noised(batch, self._signal, self._noise)
        both = self.predict(
            torch.cat([latents] * 2), torch.cat([batch.time] * 2), torch.cat([batch.ids, negatives])
        )
        conditional, unconditional = both.chunk(2)
        guided = unconditional + column(scale) * (conditional - unconditional)
        alone, errors = self._weighted(conditional, wanted, batch)
        summed, _ = self._weighted(guided / column(scale), wanted / column(scale), batch)
        return alone + summed, errors


def draw_negatives(
    generator: torch.Generator, data: LatentSet, usual: Tensor, empty: Tensor, count: int
) -> Tensor:
    """Token ids for the unconditional half: empty, or now and then a random other caption or one of ``usual``."""
    others = data.ids[torch.randint(len(data.ids), (count,), generator=generator)]
    avoided = usual[torch.randint(len(usual), (count,), generator=generator)]
    draw = torch.rand(count, generator=generator)[:, None]
    chosen = torch.where(draw < RANDOM_NEGATIVES, others, avoided)
    return torch.where(draw < RANDOM_NEGATIVES + USUAL_NEGATIVES, chosen, empty.expand(count, -1))


def draw_scale(generator: torch.Generator, count: int) -> Tensor:
    """Guidance scales over ``GUIDANCE_RANGE``, evenly in their logarithm."""
    low, high = GUIDANCE_RANGE
    scale: Tensor = low * (high / low) ** torch.rand(count, generator=generator)
    return scale
