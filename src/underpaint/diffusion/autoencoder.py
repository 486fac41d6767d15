"""A family's autoencoder: pictures to latents and back, and a cheap guess at what latents look like."""

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from underpaint.diffusion.encoded import EncodedPicture, Hidden, Picture
from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.diffusion.placement import bring, placed, taking_turns, turns_of
from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.tiling import in_tiles

TILE_PX = 1024
"""A picture of more pixels than a square of this side goes through in tiles of this side, and so takes no more memory
than such a square; a smaller one goes through whole, as in diffusers."""
LEAST_TILE_PX = 256
"""Where memory does not suffice, tiles are halved down to this."""
OVERLAP = 1 / 8
"""Of the side of a tile, that neighbours share."""


class Autoencoder:
    """One of diffusers' autoencoders, in the scale in which the denoising model works."""

    def __init__(self, vae: Any, *, device: torch.device, dtype: torch.dtype | None = None) -> None:
        """Move the network to its device.

        Args:
            vae: an AutoencoderKL or one with the same methods.
            device: where it goes.
            dtype: its precision; None for the one that it has.
        """
        self._vae: Any = placed(vae.to(dtype), device).to(memory_format=torch.channels_last).eval()
        self._device = device
        self._dtype: torch.dtype = self._vae.dtype
        config = vae.config
        mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        self._center: Tensor | float = float(getattr(config, "shift_factor", None) or 0.0)
        self._scale: Tensor | float = float(config.scaling_factor)
        if mean is not None and std is not None:
            self._center = torch.tensor(mean).view(1, -1, 1, 1)
            self._scale = self._scale / torch.tensor(std).view(1, -1, 1, 1)
        self.pixels_per_latent = int(2 ** (len(vae.config.block_out_channels) - 1))

    @property
    def size_bytes(self) -> int:
        """Memory that its weights take."""
        return sum(int(weights.nbytes) for weights in self._vae.parameters())

    def with_weights(self, location: Path) -> "Autoencoder":
        """Another autoencoder of the same layout, as its file has it under diffusers' names or the original ones.

        Raises:
            ModelLoadError: the file is damaged, or its autoencoder is of another layout.
        """
        try:
            with quiet_libraries():
                vae = type(self._vae).from_config(self._vae.config)
                vae.load_state_dict(_diffusers_names(safetensors.torch.load_file(location), vae.config))
        except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as failure:
            raise ModelLoadError(
                f"{location.name} cannot be used as the VAE of this model: {failure}"
            ) from failure
        with taking_turns(turns_of(self._vae)):
            return Autoencoder(vae, device=self._device, dtype=self._dtype)

    @torch.inference_mode()
    def encode(self, picture: Picture, *, hidden: Hidden | None = None) -> EncodedPicture:
        """Latents of a picture whose sides are multiples of `pixels_per_latent`, with mid-gray for what is hidden."""
        pixels = torch.from_numpy(picture.astype(np.float32) / 255.0).permute(2, 0, 1)[None] * 2.0 - 1.0
        if hidden is not None:
            pixels[..., torch.from_numpy(hidden)] = 0.0
        encoded = self._within_memory(pixels, self._encode_whole, scale=1)
        if encoded.shape[1] == self._vae.config.latent_channels:
            return EncodedPicture(mean=self._scaled(encoded), std=None)
        mean, std = encoded.chunk(2, dim=1)
        return EncodedPicture(mean=self._scaled(mean).contiguous(), std=(std * self._scale).contiguous())

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Picture:
        """The picture of latents (1, channels, height, width).

        Raises:
            FloatingPointError: the latents or the decoded picture hold values that are not numbers.
        """
        decoded = self._within_memory(latents, self._decode_whole, scale=self.pixels_per_latent)
        pixels = decoded[0] * 0.5 + 0.5
        if not bool(torch.isfinite(pixels).all()):
            raise FloatingPointError(f"the model produced values that are not numbers in {self._dtype}")
        picture: Picture = (pixels.clamp(0.0, 1.0).permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
        return picture

    def _encode_whole(self, pixels: Tensor) -> Tensor:
        """(1, channels, ...), or with a distribution (1, 2 x channels, ...): means, then standard deviations."""
        bring(self._vae)
        encoded = self._vae.encode(
            pixels.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        )
        if hasattr(encoded, "latent_dist"):
            spread = encoded.latent_dist
            return torch.cat([spread.mean, spread.std], dim=1).float().cpu()
        latents: Tensor = encoded.latents.float().cpu()
        return latents

    def _decode_whole(self, latents: Tensor) -> Tensor:
        bring(self._vae)
        scaled = (latents / self._scale + self._center).to(self._device, self._dtype)
        decoded: Tensor = self._vae.decode(
            scaled.contiguous(memory_format=torch.channels_last), return_dict=False
        )[0]
        return decoded.float().cpu()

    def _within_memory(self, source: Tensor, work: Callable[[Tensor], Tensor], *, scale: int) -> Tensor:
        """Whole where that is small enough, in tiles otherwise, and in smaller ones where memory does not suffice.

        `scale` is how many pixels of the picture are one of `source`, along a side.
        """
        height_px, width_px = (length * scale for length in source.shape[-2:])
        tile_px = TILE_PX
        if height_px * width_px <= tile_px**2:
            try:
                return work(source)
            except Exception as failure:
                # Half of the picture's longer side, rounded up to whole tiles of the least size.
                tile_px = -(-max(height_px, width_px) // (2 * LEAST_TILE_PX)) * LEAST_TILE_PX
                if not is_out_of_memory(failure) or tile_px >= max(height_px, width_px):
                    raise
        step = self.pixels_per_latent // scale
        ratio = Fraction(scale) if scale > 1 else Fraction(1, self.pixels_per_latent)
        while True:
            try:
                return in_tiles(
                    source,
                    work,
                    side=tile_px // scale,
                    overlap=int(tile_px * OVERLAP) // scale,
                    step=step,
                    ratio=ratio,
                )
            except Exception as failure:
                if not is_out_of_memory(failure) or tile_px <= LEAST_TILE_PX:
                    raise
                tile_px //= 2

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        channels, height, width = latents.shape
        flat = latents.reshape(channels, -1).T.numpy()
        colors = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1) @ self._color_of_latent
        sketch: Picture = (colors.clip(0.0, 1.0) * 255.0).round().astype(np.uint8).reshape(height, width, 3)
        return sketch

    def _scaled(self, latents: Tensor) -> Tensor:
        scaled: Tensor = (latents.float().cpu() - self._center) * self._scale
        return scaled

    @cached_property
    def _color_of_latent(self) -> NDArray[np.float32]:
        """(channels + 1) x 3: least squares from latents, and a constant, to the mean colour of the pixels of each."""
        side, scale = 32, self.pixels_per_latent
        patches = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
        picture = patches.repeat(4 * scale, axis=0).repeat(4 * scale, axis=1)
        latents = self.encode(picture).sample(torch.Generator().manual_seed(0))[0]
        known = latents.reshape(len(latents), -1).T.numpy()
        known = np.concatenate([known, np.ones((len(known), 1), np.float32)], axis=1)
        colors = (patches.repeat(4, axis=0).repeat(4, axis=1).reshape(-1, 3) / 255.0).astype(np.float32)
        fitted: NDArray[np.float32] = np.linalg.lstsq(known, colors, rcond=None)[0].astype(np.float32)
        return fitted


@runtime_checkable
class TakesAutoencoders(Protocol):
    """A family whose models can work with another autoencoder than their own."""

    def load_autoencoder(self, location: Path) -> Autoencoder:
        """Read a safetensors file.

        Raises:
            ModelLoadError: the file is damaged, or its autoencoder is of another layout.
        """
        ...


_OLDER_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Of the attention layers, in files that diffusers wrote before 2023."""


def _diffusers_names(tensors: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    if any(".down." in name or ".up." in name for name in tensors):
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        converted: dict[str, Tensor] = convert_ldm_vae_checkpoint(tensors, config)
        return converted
    renamed = {}
    for name, part in tensors.items():
        for old, new in _OLDER_NAMES.items():
            name = name.replace(old, new)
        renamed[name] = part
    return renamed
