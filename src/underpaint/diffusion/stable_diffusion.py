"""Stable Diffusion 1.x and 2.x, and every checkpoint in their layout: the embedded model is one.

diffusers and transformers supply the networks. diffusers' pipelines are the reference that the tests hold this to.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from underpaint.diffusion.loading import load_pipeline
from underpaint.diffusion.prompt_weighting import PromptWeighting, compel_hidden_states, weighted_fragments
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS

Picture = NDArray[np.uint8]
"""Height x width x 3, sRGB."""


class ModelLoadError(RuntimeError):
    """The files of a model cannot be used. The message is fit to show a client."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row of a forward pass: one request's latents under one prompt."""

    latents: Tensor
    """(channels, height, width) in latent pixels, scaled for the model."""
    timestep: float
    prompt: Tensor
    """(tokens, width of the text encoder)."""
    guidance_scale: float
    """Only read by models that take guidance as an input, such as latent consistency models."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPicture:
    """What an autoencoder makes of a picture: a distribution of latents, or just latents. Float32, on the CPU."""

    mean: Tensor
    """(1, channels, height, width)."""
    std: Tensor | None
    """Of the shape of `mean`; None for autoencoders that give no distribution."""
    scale: float

    def sample(self, generator: torch.Generator) -> Tensor:
        """Latents for the denoising model; `generator` is the request's noise stream."""
        if self.std is None:
            return self.mean * self.scale
        noise = torch.randn(self.mean.shape, generator=generator, dtype=torch.float32)
        return (self.mean + self.std * noise) * self.scale

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self.mean.nbytes + (0 if self.std is None else self.std.nbytes)


class StableDiffusion:
    """A loaded checkpoint. Stateless between calls: everything about a request is in the request."""

    schedulers = STABLE_DIFFUSION_SCHEDULERS

    def __init__(self, pipeline: Any, *, device: torch.device) -> None:
        self._tokenizer: Any = pipeline.tokenizer
        self._text_encoder: Any = pipeline.text_encoder.to(device).eval()
        layout = torch.channels_last
        self._unet: Any = pipeline.unet.to(device).to(memory_format=layout).eval()
        self._vae: Any = pipeline.vae.to(device).to(memory_format=layout).eval()
        self._device = device
        self._dtype: torch.dtype = self._unet.dtype
        self.scheduler_config: Mapping[str, Any] = dict(pipeline.scheduler.config)
        self.latent_channels = int(self._unet.config.in_channels)
        self.pixels_per_latent = int(pipeline.vae_scale_factor)
        if self.latent_channels != int(self._unet.config.out_channels):
            raise ModelLoadError(
                "this checkpoint's UNet takes more channels than it gives (an inpainting or editing model), which this "
                "version cannot run"
            )

    @classmethod
    def load(
        cls, location: Path, *, config: str | Path | None, device: torch.device, dtype: torch.dtype
    ) -> "StableDiffusion":
        """Load a diffusers folder, or a single .safetensors file in the original layout.

        Args:
            location: the folder or file. Only safetensors weights are read; pickles are never opened.
            config: for a single file, a diffusers folder or hub id with the configuration and tokenizer of its
                architecture, which such files lack; None for diffusers' guess, which asks the hub.
            device: where the networks go.
            dtype: precision of their weights.

        Raises:
            ModelLoadError: the files are missing, damaged, pickled or of another architecture.
        """
        try:
            with quiet_libraries():
                pipeline = load_pipeline(location, config=config, dtype=dtype)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as failure:
            raise ModelLoadError(f"{location.name} cannot be loaded: {failure}") from failure
        return cls(pipeline, device=device)

    def latent_shape(self, *, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latents of a picture."""
        scale = self.pixels_per_latent
        return (1, self.latent_channels, height_px // scale, width_px // scale)

    @torch.inference_mode()
    def encode_prompt(
        self, prompt: str, *, clip_skip: int = 0, weighting: PromptWeighting | None = None
    ) -> Tensor:
        """Hidden states of the text encoder, (tokens, width).

        A prompt longer than the encoder's window is encoded window by window and the windows are joined, so that no
        word is lost; a prompt within one window gives what diffusers gives.

        Args:
            prompt: any text, also empty.
            clip_skip: how many of the encoder's last layers to leave out.
            weighting: syntax of the weights within the prompt; None for plain text.

        Raises:
            PromptSyntaxError: the prompt breaks the rules of its syntax.
        """
        if weighting == "compel":
            weighted = compel_hidden_states(self._tokenizer, self._text_encoder, prompt, clip_skip=clip_skip)
            return weighted.to(self._dtype)
        window = int(self._tokenizer.model_max_length)
        fragments = weighted_fragments(prompt) if weighting == "sdEmbeds" else [(prompt, 1.0)]
        words: list[int] = []
        weights: list[float] = []
        for text, weight in fragments:
            words += self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            weights += [weight] * (len(words) - len(weights))
        begin, end, pad = (
            self._tokenizer.bos_token_id,
            self._tokenizer.eos_token_id,
            self._tokenizer.pad_token_id,
        )
        room = window - 2
        chunks = [words[start : start + room] for start in range(0, len(words), room)] or [[]]
        ids = torch.tensor([[begin, *chunk, end, *[pad] * (room - len(chunk))] for chunk in chunks])
        mask = torch.tensor([[1] * (len(chunk) + 2) + [0] * (room - len(chunk)) for chunk in chunks])
        uses_mask = getattr(self._text_encoder.config, "use_attention_mask", False)
        encoded = self._text_encoder(
            ids.to(self._device),
            attention_mask=mask.to(self._device) if uses_mask else None,
            output_hidden_states=clip_skip > 0,
        )
        hidden: Tensor
        if clip_skip:
            norm = getattr(self._text_encoder, "text_model", self._text_encoder).final_layer_norm
            hidden = norm(encoded.hidden_states[-(clip_skip + 1)])
        else:
            hidden = encoded.last_hidden_state
        if weighting is not None:
            factors = [
                [1.0, *part, *[1.0] * (window - 1 - len(part))]
                for part in (weights[start : start + room] for start in range(0, len(chunks) * room, room))
            ]
            hidden = hidden * torch.tensor(factors, device=hidden.device, dtype=hidden.dtype)[..., None]
        return hidden.to(self._dtype).flatten(0, 1)

    def match_prompts(self, prompt: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Give two encoded prompts the same number of tokens, by windows of the empty prompt after the shorter one."""
        empty = self.encode_prompt("")
        while len(prompt) != len(negative):
            if len(prompt) < len(negative):
                prompt = torch.cat([prompt, empty])
            else:
                negative = torch.cat([negative, empty])
        return prompt, negative

    @torch.inference_mode()
    def encode_picture(self, picture: Picture) -> EncodedPicture:
        """Latents of a picture whose sides are multiples of `pixels_per_latent`."""
        pixels = torch.from_numpy(picture.astype(np.float32) / 255.0).permute(2, 0, 1)[None] * 2.0 - 1.0
        encoded = self._vae.encode(
            pixels.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        )
        scale = float(self._vae.config.scaling_factor)
        if hasattr(encoded, "latent_dist"):
            spread = encoded.latent_dist
            return EncodedPicture(mean=spread.mean.float().cpu(), std=spread.std.float().cpu(), scale=scale)
        return EncodedPicture(mean=encoded.latents.float().cpu(), std=None, scale=scale)

    @torch.inference_mode()
    def predict(self, rows: Sequence[Row]) -> Tensor:
        """One forward pass over rows of any mix of requests.

        Args:
            rows: at least one, all with latents and prompts of the same shapes.

        Returns:
            (rows, channels, height, width), float32 on the CPU.
        """
        latents = torch.stack([row.latents for row in rows]).to(self._device, self._dtype)
        timesteps = torch.tensor([row.timestep for row in rows], dtype=torch.float32, device=self._device)
        prompts = torch.stack([row.prompt for row in rows])
        guidance = None
        if width := self._unet.config.time_cond_proj_dim:
            scales = torch.tensor([row.guidance_scale for row in rows], dtype=torch.float32)
            guidance = embed_guidance(scales - 1.0, int(width)).to(self._device, self._dtype)
        predicted: Tensor = self._unet(
            latents.contiguous(memory_format=torch.channels_last),
            timesteps,
            encoder_hidden_states=prompts,
            timestep_cond=guidance,
            return_dict=False,
        )[0]
        return predicted.float().cpu()

    @property
    def guidance_is_an_input(self) -> bool:
        """Whether the model takes the guidance scale as an input, so that a request needs no unconditional row."""
        return self._unet.config.time_cond_proj_dim is not None

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Picture:
        """The picture of latents (1, channels, height, width).

        Raises:
            FloatingPointError: the latents or the decoded picture hold values that are not numbers.
        """
        scaled = (latents / float(self._vae.config.scaling_factor)).to(self._device, self._dtype)
        decoded = self._vae.decode(scaled.contiguous(memory_format=torch.channels_last), return_dict=False)[0]
        pixels = decoded[0].float().cpu() * 0.5 + 0.5
        if not bool(torch.isfinite(pixels).all()):
            raise FloatingPointError(f"the model produced values that are not numbers in {self._dtype}")
        picture: Picture = (pixels.clamp(0.0, 1.0).permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
        return picture

    def predicted_latents(self, scaled: Tensor, prediction: Tensor, timestep: float) -> Tensor:
        """Latents without noise, as the model sees them from here.

        Args:
            scaled: latents of unit variance, (channels, height, width), as they went into the model.
            prediction: what came out, of the same shape.
            timestep: at which it did.
        """
        alpha_bar = float(np.interp(timestep, np.arange(len(self._alphas_cumprod)), self._alphas_cumprod))
        signal, noise = math.sqrt(max(alpha_bar, 1e-6)), math.sqrt(1.0 - alpha_bar)
        match self.scheduler_config.get("prediction_type", "epsilon"):
            case "v_prediction":
                # Salimans and Ho, arXiv:2202.00512, appendix D.
                return signal * scaled - noise * prediction
            case "sample":
                return prediction
            case _:
                return (scaled - noise * prediction) / signal

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        channels, height, width = latents.shape
        flat = latents.reshape(channels, -1).T.numpy()
        colors = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1) @ self._color_of_latent
        sketch: Picture = (colors.clip(0.0, 1.0) * 255.0).round().astype(np.uint8).reshape(height, width, 3)
        return sketch

    @cached_property
    def _alphas_cumprod(self) -> NDArray[np.float64]:
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler.from_config(self.scheduler_config)
        cumulated: NDArray[np.float64] = scheduler.alphas_cumprod.double().numpy()
        return cumulated

    @cached_property
    def _color_of_latent(self) -> NDArray[np.float32]:
        """(channels + 1) x 3: least squares from latents, and a constant, to the mean colour of the pixels of each."""
        side, scale = 32, self.pixels_per_latent
        patches = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
        picture = patches.repeat(4 * scale, axis=0).repeat(4 * scale, axis=1)
        latents = self.encode_picture(picture).sample(torch.Generator().manual_seed(0))[0]
        known = latents.reshape(len(latents), -1).T.numpy()
        known = np.concatenate([known, np.ones((len(known), 1), np.float32)], axis=1)
        colors = (patches.repeat(4, axis=0).repeat(4, axis=1).reshape(-1, 3) / 255.0).astype(np.float32)
        fitted: NDArray[np.float32] = np.linalg.lstsq(known, colors, rcond=None)[0].astype(np.float32)
        return fitted


def embed_guidance(scales: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of guidance scales, (rows,) to (rows, width).

    Meng et al., "On Distillation of Guided Diffusion Models" (arXiv:2210.03142), as trained into latent consistency
    models; the frequencies are those of Vaswani et al. (arXiv:1706.03762), the scale is 1000.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(np.log(10000.0) / (half - 1)))
    angles = (scales * 1000.0)[:, None] * frequencies[None, :]
    embedded = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
    return torch.nn.functional.pad(embedded, (0, width % 2))
