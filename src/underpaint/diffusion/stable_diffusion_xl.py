"""Stable Diffusion XL and every checkpoint in its layout, the refiner among them.

Podell et al., arXiv:2307.01952. Two text encoders, of which the second also pools the prompt, and a UNet that is told
the size of the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.clip_text import ClipText, match_by_windows
from underpaint.diffusion.encoded import EncodedPrompt
from underpaint.diffusion.family import Row
from underpaint.diffusion.loading import PipelineLayout
from underpaint.diffusion.prompt_weighting import PromptWeighting
from underpaint.diffusion.stable_diffusion import StableDiffusion

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5
"""What the refiner is asked for, and led away from; the values that its authors and diffusers recommend."""


class StableDiffusionXL(StableDiffusion):
    """A loaded checkpoint."""

    layout: ClassVar = PipelineLayout(
        # The one of diffusers' classes that takes the refiner, too.
        pipeline="StableDiffusionXLImg2ImgPipeline",
        denoiser="unet",
        text_encoders={"text_encoder": "CLIPTextModel", "text_encoder_2": "CLIPTextModelWithProjection"},
        tokenizers=("tokenizer", "tokenizer_2"),
        options={"add_watermarker": False},
    )

    def __init__(self, pipeline: Any, *, device: torch.device) -> None:
        super().__init__(pipeline, device=device)
        self._empty_is_zero = bool(pipeline.config.force_zeros_for_empty_prompt)
        embedding, projected = (
            self._unet.add_embedding.linear_1,
            pipeline.text_encoder_2.config.projection_dim,
        )
        times = (embedding.in_features - projected) // self._unet.config.addition_time_embed_dim
        self._takes_score = times == 5

    def _load_text(self, pipeline: Any, device: torch.device) -> Sequence[ClipText]:
        pairs = (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        )
        return [
            ClipText(tokenizer, encoder, device=device, penultimate=True)
            for tokenizer, encoder in pairs
            if encoder is not None
        ]

    def _load_autoencoder(self, pipeline: Any, device: torch.device) -> Autoencoder:
        # The published autoencoder overflows in half precision, and says so.
        overflows = pipeline.vae.config.force_upcast and pipeline.vae.dtype == torch.float16
        return Autoencoder(pipeline.vae, device=device, dtype=torch.float32 if overflows else None)

    def encode_prompt(
        self,
        prompt: str,
        *,
        negative: bool = False,
        clip_skip: int = 0,
        weighting: PromptWeighting | None = None,
    ) -> EncodedPrompt:
        """See `Family.encode_prompt`. With many checkpoints a negative prompt of no words is all zeros."""
        encoded = super().encode_prompt(prompt, clip_skip=clip_skip, weighting=weighting)
        if negative and not prompt and self._empty_is_zero and encoded.pooled is not None:
            return replace(
                encoded,
                hidden_states=torch.zeros_like(encoded.hidden_states),
                pooled=torch.zeros_like(encoded.pooled),
            )
        return encoded

    def match_prompts(
        self, prompt: EncodedPrompt, negative: EncodedPrompt
    ) -> tuple[EncodedPrompt, EncodedPrompt]:
        """Give two prompts the same number of tokens, by windows of the empty prompt after the shorter one, and by
        zeros after zeros.
        """
        if negative.tokens < prompt.tokens and not negative.hidden_states.any():
            return prompt, replace(negative, hidden_states=torch.zeros_like(prompt.hidden_states))
        return match_by_windows(prompt, negative, window=lambda: self.encode_prompt(""))

    def _added_conditions(self, rows: Sequence[Row]) -> Mapping[str, Tensor]:
        """The pooled prompts, and the sizes that the picture is to have had, to be cut at, and to have."""
        pooled = torch.stack([row.prompt.pooled for row in rows if row.prompt.pooled is not None])
        times = torch.tensor([self._times(row) for row in rows], device=self._device, dtype=self.dtype)
        return {"text_embeds": pooled, "time_ids": times}

    def _times(self, row: Row) -> tuple[float, ...]:
        height, width = (side * self.pixels_per_latent for side in row.latents.shape[1:])
        if self._takes_score:
            return (height, width, 0, 0, NEGATIVE_AESTHETIC_SCORE if row.negative else AESTHETIC_SCORE)
        return (height, width, 0, 0, height, width)
