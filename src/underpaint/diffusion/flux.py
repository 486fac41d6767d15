"""FLUX.1: dev, schnell, Kontext and every checkpoint in their layout.

A transformer over patches of 2 x 2 latents that predicts the flow from noise to picture (rectified flow, Esser et al.,
arXiv:2403.03206). Guidance is distilled into it: dev takes the scale as an input, schnell takes none, and neither
needs an unconditional row. Latents are patched and unpatched here, so that everything else sees them as it sees those
of other families.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.clip_text import ClipText
from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Hidden, Picture, padded_alike
from underpaint.diffusion.family import ModelLoadError, Row
from underpaint.diffusion.flow_shift import shift_by_size
from underpaint.diffusion.flux_loading import load_flux
from underpaint.diffusion.flux_lora import load_flux_lora
from underpaint.diffusion.loading import loading
from underpaint.diffusion.lora import Lora, Loras, adapted
from underpaint.diffusion.masking import FAINTEST, Mask
from underpaint.diffusion.placement import bring, placed
from underpaint.diffusion.prompt_weighting import PromptWeighting
from underpaint.diffusion.redux import Redux, SiglipEncoder, load_redux
from underpaint.diffusion.t5_text import T5Text

PATCH = 2
"""Latents along each side of a patch."""
GUIDED_TOKENS, UNGUIDED_TOKENS = 512, 256
"""Lengths of prompts that dev and schnell were trained on."""


class Flux:
    """A loaded checkpoint. Stateless between calls: everything about a request is in the request."""

    encodes_from_noise = True

    def __init__(self, pipeline: Any, *, device: torch.device) -> None:
        self._transformer: Any = placed(pipeline.transformer, device).eval()
        self._guided = bool(self._transformer.config.guidance_embeds)
        self._clip = ClipText(
            pipeline.tokenizer, pipeline.text_encoder, device=device, pooled="pooler_output"
        )
        self._t5 = T5Text(
            pipeline.tokenizer_2,
            pipeline.text_encoder_2,
            device=device,
            tokens=GUIDED_TOKENS if self._guided else UNGUIDED_TOKENS,
        )
        self._autoencoder = Autoencoder(pipeline.vae, device=device)
        self._text_networks = {
            "text_encoder": pipeline.text_encoder,
            "text_encoder_2": pipeline.text_encoder_2,
        }
        self.text_networks = tuple(self._text_networks)
        self._device = device
        self.dtype: torch.dtype = self._transformer.dtype
        self.scheduler_config: Mapping[str, Any] = dict(pipeline.scheduler.config)
        self.latent_channels = int(pipeline.vae.config.latent_channels)
        self.pixels_per_latent = self._autoencoder.pixels_per_latent
        taken, latents = int(self._transformer.config.in_channels), self.latent_channels * PATCH * PATCH
        # Beside the latents, Fill is given those of what is kept and the mask, pixel by pixel, and Canny and Depth are
        # given those of the map.
        mask = (self.pixels_per_latent * PATCH) ** 2
        self.sees_mask = taken == 2 * latents + mask
        self.sees_map = taken == 2 * latents
        if taken != latents and not self.sees_mask and not self.sees_map:
            raise ModelLoadError(
                f"this checkpoint's transformer takes {taken} channels: it is neither FLUX.1 nor Fill, Canny or Depth"
            )

    @classmethod
    def load(
        cls, location: Path, *, config: str | Path | None, device: torch.device, dtype: torch.dtype
    ) -> Self:
        """See `Family.load`. The text encoder overflows in float16: bfloat16 takes its place."""
        dtype = torch.bfloat16 if dtype == torch.float16 else dtype
        pipeline = load_flux(location, config=config, dtype=dtype)
        with loading(location):
            return cls(pipeline, device=device)

    @property
    def guidance_is_an_input(self) -> bool:
        """Always: see above."""
        return True

    def latent_shape(self, *, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latents of a picture."""
        scale = self.pixels_per_latent
        return (1, self.latent_channels, height_px // scale, width_px // scale)

    def schedule(self, *, steps: int, width_px: int, height_px: int) -> Mapping[str, Any]:
        """Noise levels, and how far they are shifted towards noise, as FLUX was trained."""
        side = self.pixels_per_latent * PATCH
        patches = (width_px // side) * (height_px // side)
        shift = shift_by_size(self.scheduler_config, patches, most_shift=1.15)
        return {"sigmas": np.linspace(1.0, 1.0 / steps, steps), "mu": shift}

    def encode_prompt(
        self,
        prompt: str,
        *,
        negative: bool = False,
        clip_skip: int = 0,
        weighting: PromptWeighting | None = None,
    ) -> EncodedPrompt:
        """See `Family.encode_prompt`. CLIP only pools the prompt here, so that no layer of it can be skipped."""
        pooled = self._clip.encode(prompt, clip_skip=0, weighting=weighting).pooled
        assert pooled is not None, "it pools"
        hidden = self._t5.hidden_states(prompt, weighted=weighting == "sdEmbeds")
        return EncodedPrompt(hidden_states=hidden.to(self.dtype), pooled=pooled.to(self.dtype))

    def match_prompts(
        self, prompt: EncodedPrompt, negative: EncodedPrompt
    ) -> tuple[EncodedPrompt, EncodedPrompt]:
        """The same two prompts with equal numbers of tokens: zeros follow the shorter one."""
        return padded_alike(prompt, negative)

    def load_autoencoder(self, location: Path) -> Autoencoder:
        """See `TakesAutoencoders.load_autoencoder`."""
        return self._autoencoder.with_weights(location)

    def load_lora(self, location: Path) -> Lora:
        """See `TakesLoras.load_lora`."""
        return load_flux_lora(location, {"transformer": self._transformer, **self._text_networks})

    @contextmanager
    def with_loras(self, loras: Loras) -> Iterator[None]:
        """See `TakesLoras.with_loras`."""
        with ExitStack() as stack:
            for name, network in self._text_networks.items():
                stack.enter_context(adapted(network, name, [loras]))
            yield

    def load_redux(self, location: Path) -> Redux:
        """See `TakesRedux.load_redux`."""
        width = int(self._transformer.config.joint_attention_dim)
        return load_redux(location, width=width, device=self._device, dtype=self.dtype)

    def load_siglip(self, folder: Path) -> SiglipEncoder:
        """See `TakesRedux.load_siglip`."""
        return SiglipEncoder.load(folder, device=self._device, dtype=self.dtype)

    def encode_picture(self, picture: Picture, *, hidden: Hidden | None = None) -> EncodedPicture:
        """See `Family.encode_picture`."""
        return self._autoencoder.encode(picture, hidden=hidden)

    @torch.inference_mode()
    def predict(self, rows: Sequence[Row]) -> Tensor:
        """See `Family.predict`."""
        bring(self._transformer)
        taken = [row.latents if row.beside is None else torch.cat([row.latents, row.beside]) for row in rows]
        latents = torch.stack(taken)
        height, width = (side // PATCH for side in latents.shape[-2:])
        # Kontext sees its references as further patches, which come out as nothing that anybody reads.
        seen = [torch.stack(alike) for alike in zip(*(row.references for row in rows), strict=True)]
        patches = torch.cat([patched(each) for each in (latents, *seen)], dim=1)
        places = [positions(height, width), *reference_positions([each.shape[-2:] for each in seen])]
        prompts = torch.stack([row.prompt.hidden_states for row in rows])
        pooled = torch.stack([row.prompt.pooled for row in rows if row.prompt.pooled is not None])
        # As diffusers does it: in the model's precision first, then divided.
        timesteps = torch.tensor([row.timestep for row in rows], dtype=torch.float32).to(self.dtype) / 1000
        scales = torch.tensor([row.guidance_scale for row in rows], dtype=torch.float32)
        with adapted(self._transformer, "transformer", [row.loras for row in rows]):
            predicted: Tensor = self._transformer(
                hidden_states=patches.to(self._device, self.dtype),
                timestep=timesteps.to(self._device),
                guidance=scales.to(self._device) if self._guided else None,
                pooled_projections=pooled,
                encoder_hidden_states=prompts,
                txt_ids=torch.zeros(prompts.shape[1], 3, device=self._device, dtype=self.dtype),
                img_ids=torch.cat(places).to(self._device, self.dtype),
                return_dict=False,
            )[0]
        return unpatched(predicted[:, : height * width].float().cpu(), height, width)

    def beside(self, shown: Tensor, mask: Mask) -> Tensor:
        """See `Family.beside`: the latents, then each latent's 64 pixels of the mask."""
        painted = torch.from_numpy((mask >= FAINTEST).astype(np.float32))[None, None]
        pixels = torch.nn.functional.pixel_unshuffle(painted, self.pixels_per_latent)
        return torch.cat([shown, pixels], dim=1)

    def decode(self, latents: Tensor) -> Picture:
        """See `Family.decode`."""
        return self._autoencoder.decode(latents)

    def predicted_latents(self, scaled: Tensor, prediction: Tensor, timestep: float) -> Tensor:
        """See `Family.predicted_latents`: the flow, followed to its end in one step."""
        return scaled - timestep / 1000 * prediction

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        return self._autoencoder.sketch(latents)


def patched(latents: Tensor) -> Tensor:
    """(rows, channels, height, width) as (rows, patches, channels x 4), patch by patch along each row of them."""
    rows, channels, height, width = latents.shape
    split = latents.reshape(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * PATCH * PATCH)


def unpatched(patches: Tensor, height: int, width: int) -> Tensor:
    """What `patched` gave, back again; `height` and `width` in patches."""
    rows, _, values = patches.shape
    channels = values // (PATCH * PATCH)
    split = patches.reshape(rows, height, width, channels, PATCH, PATCH)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(rows, channels, height * PATCH, width * PATCH)


def positions(height: int, width: int, *, picture: int = 0, top: int = 0, left: int = 0) -> Tensor:
    """(patches, 3): of each patch, which picture it is of, its row and its column."""
    grid = torch.zeros(height, width, 3)
    grid[..., 0] = picture
    grid[..., 1] = top + torch.arange(height)[:, None]
    grid[..., 2] = left + torch.arange(width)[None, :]
    return grid.reshape(height * width, 3)


def reference_positions(sizes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Positions of the patches of reference images, from the height and width of each in latents.

    Kontext was trained with one picture beside its own. Several are laid out as one that holds them all, each beside
    or below those before, whichever keeps that one closer to a square: as ComfyUI's reference latents are.
    """
    places, whole_height, whole_width = [], 0, 0
    for size in sizes:
        height, width = (side // PATCH for side in size)
        beside = height + whole_height > width + whole_width
        top, left = (0, whole_width) if beside else (whole_height, 0)
        places.append(positions(height, width, picture=1, top=top, left=left))
        whole_height, whole_width = max(whole_height, top + height), max(whole_width, left + width)
    return places
