"""Stable Diffusion 3 and 3.5.

A transformer over patches of 2 x 2 latents that predicts the flow from noise to picture (Esser et al.,
arXiv:2403.03206). It reads the tokens of two CLIP encoders, side by side, and those of T5 after them; none of them has
a place in an order. T5 may be left out, as it was for parts of the training: zeros take its place.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.clip_text import ClipText
from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Hidden, Picture, padded_alike
from underpaint.diffusion.family import ModelLoadError, Row
from underpaint.diffusion.flow_shift import shift_by_size
from underpaint.diffusion.loading import loading
from underpaint.diffusion.masking import Mask
from underpaint.diffusion.placement import bring, placed
from underpaint.diffusion.prompt_weighting import PromptWeighting
from underpaint.diffusion.stable_diffusion_3_loading import load_stable_diffusion_3
from underpaint.diffusion.t5_text import T5Text

T5_TOKENS = 256
"""Length of prompts for T5 that diffusers takes; the models were trained on 77 and more."""


class StableDiffusion3:
    """A loaded checkpoint. Stateless between calls: everything about a request is in the request."""

    sees_mask = sees_map = encodes_from_noise = False

    def __init__(self, pipeline: Any, *, device: torch.device) -> None:
        self._transformer: Any = placed(pipeline.transformer, device).eval()
        self._clips = [
            ClipText(tokenizer, encoder, device=device, penultimate=True)
            for tokenizer, encoder in (
                (pipeline.tokenizer, pipeline.text_encoder),
                (pipeline.tokenizer_2, pipeline.text_encoder_2),
            )
        ]
        self._t5: T5Text | None = None
        if pipeline.text_encoder_3 is not None:
            self._t5 = T5Text(pipeline.tokenizer_3, pipeline.text_encoder_3, device=device, tokens=T5_TOKENS)
        self._autoencoder = Autoencoder(pipeline.vae, device=device)
        self._device = device
        self.dtype: torch.dtype = self._transformer.dtype
        self._patch = int(self._transformer.config.patch_size)
        self.scheduler_config: Mapping[str, Any] = dict(pipeline.scheduler.config)
        self.latent_channels = int(pipeline.vae.config.latent_channels)
        self.pixels_per_latent = self._autoencoder.pixels_per_latent
        taken = int(self._transformer.config.in_channels)
        if taken != self.latent_channels:
            raise ModelLoadError(
                f"this checkpoint's transformer takes {taken} channels, and its autoencoder gives "
                f"{self.latent_channels}: this version cannot run it"
            )

    @classmethod
    def load(
        cls, location: Path, *, config: str | Path | None, device: torch.device, dtype: torch.dtype
    ) -> Self:
        """See `Family.load`. T5 overflows in float16: bfloat16 takes its place."""
        dtype = torch.bfloat16 if dtype == torch.float16 else dtype
        pipeline = load_stable_diffusion_3(location, config=config, dtype=dtype)
        with loading(location):
            return cls(pipeline, device=device)

    @property
    def guidance_is_an_input(self) -> bool:
        """Never: a request with guidance has an unconditional row."""
        return False

    def latent_shape(self, *, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latents of a picture."""
        scale = self.pixels_per_latent
        return (1, self.latent_channels, height_px // scale, width_px // scale)

    def schedule(self, *, steps: int, width_px: int, height_px: int) -> Mapping[str, Any]:
        """A shift by the number of patches, for checkpoints whose scheduler wants one; the published ones do not."""
        config = self.scheduler_config
        if not config.get("use_dynamic_shifting"):
            return {}
        side = self.pixels_per_latent * self._patch
        patches = (height_px // side) * (width_px // side)
        return {"mu": shift_by_size(config, patches, most_shift=1.16)}

    def encode_prompt(
        self,
        prompt: str,
        *,
        negative: bool = False,
        clip_skip: int = 0,
        weighting: PromptWeighting | None = None,
    ) -> EncodedPrompt:
        """See `Family.encode_prompt`. The layers that are skipped are those of both CLIP encoders."""
        clips = [clip.encode(prompt, clip_skip=clip_skip, weighting=weighting) for clip in self._clips]
        if self._t5 is None:
            width = int(self._transformer.config.joint_attention_dim)
            rest = torch.zeros(T5_TOKENS, width, device=self._device, dtype=self.dtype)
        else:
            rest = self._t5.hidden_states(prompt, weighted=weighting == "sdEmbeds").to(self.dtype)
        beside = torch.cat([clip.hidden_states.to(self.dtype) for clip in clips], dim=1)
        beside = torch.nn.functional.pad(beside, (0, rest.shape[1] - beside.shape[1]))
        pooled = [clip.pooled for clip in clips if clip.pooled is not None]
        return EncodedPrompt(hidden_states=torch.cat([beside, rest]), pooled=torch.cat(pooled).to(self.dtype))

    def match_prompts(
        self, prompt: EncodedPrompt, negative: EncodedPrompt
    ) -> tuple[EncodedPrompt, EncodedPrompt]:
        """The same two prompts with equal numbers of tokens: zeros, which are what an encoder that is left out says,
        follow the shorter one.
        """
        return padded_alike(prompt, negative)

    def load_autoencoder(self, location: Path) -> Autoencoder:
        """See `TakesAutoencoders.load_autoencoder`."""
        return self._autoencoder.with_weights(location)

    def encode_picture(self, picture: Picture, *, hidden: Hidden | None = None) -> EncodedPicture:
        """See `Family.encode_picture`."""
        return self._autoencoder.encode(picture, hidden=hidden)

    @torch.inference_mode()
    def predict(self, rows: Sequence[Row]) -> Tensor:
        """See `Family.predict`."""
        bring(self._transformer)
        predicted: Tensor = self._transformer(
            hidden_states=torch.stack([row.latents for row in rows]).to(self._device, self.dtype),
            timestep=torch.tensor([row.timestep for row in rows], dtype=torch.float32, device=self._device),
            encoder_hidden_states=torch.stack([row.prompt.hidden_states for row in rows]),
            pooled_projections=torch.stack(
                [row.prompt.pooled for row in rows if row.prompt.pooled is not None]
            ),
            return_dict=False,
        )[0]
        return predicted.float().cpu()

    def beside(self, shown: Tensor, mask: Mask) -> Tensor:
        """See `Family.beside`: no published checkpoint of the family sees the mask."""
        raise NotImplementedError("no model of this family has anything beside its latents")

    def decode(self, latents: Tensor) -> Picture:
        """See `Family.decode`."""
        return self._autoencoder.decode(latents)

    def predicted_latents(self, scaled: Tensor, prediction: Tensor, timestep: float) -> Tensor:
        """See `Family.predicted_latents`: the flow, followed to its end in one step."""
        return scaled - timestep / 1000 * prediction

    def sketch(self, latents: Tensor) -> Picture:
        """A picture of latents (channels, height, width), one pixel for each, by a linear guess at the decoder."""
        return self._autoencoder.sketch(latents)
