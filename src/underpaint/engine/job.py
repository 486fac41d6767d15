"""A job in the engine: a request and everything that has become of it so far."""

import hashlib

import torch
from torch import Tensor

from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Picture
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, Row
from underpaint.diffusion.masking import KeptLatents, latent_mask, paste
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import JobRequest, Mask, ModelReference


class Trajectory:
    """The part of a job that needs its model: latents, sampler state and encoded prompts."""

    def __init__(self, request: JobRequest, model: Family, encodings: ByteBudgetCache) -> None:
        generator = torch.Generator("cpu").manual_seed(request.seed)
        choice = FAMILY_OF_ARCHITECTURE[request.model.architecture].schedulers[request.scheduler]
        scheduler = build_scheduler(choice, model.scheduler_config, seed=request.seed)
        picture = request.picture
        self._guidance_scale = request.guidance_scale
        self._sampler = Sampler(
            scheduler,
            steps=request.steps,
            strength=None if picture is None else request.strength,
            generator=generator,
        )
        self._request = request
        self._kept: KeptLatents | None = None
        # In the order in which diffusers' pipelines draw: first the autoencoder's noise, then the trajectory's.
        if picture is None:
            shape = model.latent_shape(width_px=request.width_px, height_px=request.height_px)
            self._latents = self._sampler.start_from_noise(shape)
        else:
            encoded = _encoded_picture(picture, request.model, model, encodings)
            clean = encoded.sample(generator)
            if request.mask is None:
                self._latents = self._sampler.start_from_picture(clean)
            else:
                self._latents = self._start_inpainting(clean, request.mask, model, encoded)
        self._scaled = self._latents[0]
        self._prompts = _encoded_prompts(request, model, encodings)

    @property
    def forwards_left(self) -> int:
        """Model evaluations still to come."""
        return self._sampler.forwards_left

    @property
    def steps_done(self) -> int:
        """Steps behind it."""
        return self._sampler.steps_done

    @property
    def tokens(self) -> int:
        """Length of its encoded prompts; only prompts of one length fit into one forward pass."""
        return self._prompts[0].tokens

    def rows(self) -> list[Row]:
        """Rows of the next forward pass: the prompt's, and with guidance the negative prompt's after it."""
        scaled = self._scaled = self._sampler.model_input(self._latents)[0]
        timestep = self._sampler.timestep
        return [
            Row(latents=scaled, timestep=timestep, prompt=prompt, guidance_scale=self._guidance_scale)
            for prompt in self._prompts
        ]

    def advance(self, predictions: Tensor) -> None:
        """Take one evaluation: `predictions` are (rows, channels, height, width), in the order of `rows`."""
        self._latents = self._sampler.step(self._guided(predictions), self._latents)
        if self._kept is not None:
            self._latents = self._kept.put_back(self._latents, self._sampler)

    def preview(self, predictions: Tensor, model: Family) -> Picture:
        """What the picture is becoming, one pixel for each latent. Takes what `advance` takes, and goes before it."""
        clean = model.predicted_latents(self._scaled, self._guided(predictions)[0], self._sampler.timestep)
        return model.sketch(clean)

    def paint(self, model: Family) -> Picture:
        """The picture of the latents as they are."""
        painted = model.decode(self._latents)
        if self._request.mask is None or self._request.picture is None:
            return painted
        return paste(painted, self._request.picture, self._request.mask)

    def _start_inpainting(self, clean: Tensor, mask: Mask, model: Family, encoded: EncodedPicture) -> Tensor:
        noise = self._sampler.draw_noise(tuple(clean.shape))
        self._kept = KeptLatents(clean, latent_mask(mask, model.pixels_per_latent), noise)
        if encoded.std is not None:
            # diffusers' pipeline encodes the masked picture too at this point, for checkpoints that take it.
            self._sampler.draw_noise(tuple(clean.shape))
        if self._request.strength >= 1.0:
            return self._sampler.scaled_noise(noise)
        return self._sampler.noised_to_here(clean, noise)

    def _guided(self, predictions: Tensor) -> Tensor:
        if len(predictions) == 1:
            return predictions
        # Classifier-free guidance, Ho and Salimans, arXiv:2207.12598, Eq. 6.
        conditional, unconditional = predictions[:1], predictions[1:]
        return unconditional + self._guidance_scale * (conditional - unconditional)


class Job:
    """A request, and its trajectory once the model has been at hand."""

    def __init__(self, request: JobRequest) -> None:
        self.request = request
        self.trajectory: Trajectory | None = None
        self.passes_waited = 0
        """Passes since its last one, or since its arrival."""
        self.steps = (
            request.steps if request.picture is None else steps_to_run(request.steps, request.strength)
        )
        """Steps that will run in all."""

    @property
    def forwards_left(self) -> int:
        """Model evaluations still to come; before the trajectory exists, as if its sampler were of first order."""
        return self.steps if self.trajectory is None else self.trajectory.forwards_left

    @property
    def group(self) -> tuple[object, ...]:
        """Jobs of equal groups can share a forward pass if their prompts, too, are of one length."""
        return (self.request.model, self.request.width_px, self.request.height_px)

    @property
    def row_count(self) -> int:
        """Rows that it takes in a forward pass."""
        return 2 if uses_guidance(self.request.guidance_scale) else 1


def uses_guidance(guidance_scale: float) -> bool:
    """Whether a guidance scale asks for an unconditional row. At 1 and below, guidance is off, as the API has it."""
    return guidance_scale > 1.0


def _encoded_picture(
    picture: Picture, reference: ModelReference, model: Family, encodings: ByteBudgetCache
) -> EncodedPicture:
    key = ("picture", reference, picture.shape, hashlib.blake2b(picture.tobytes(), digest_size=32).digest())
    encoded: EncodedPicture = encodings.get_or_make(
        key, lambda: model.encode_picture(picture), lambda encoded: encoded.size_bytes
    )
    return encoded


def _encoded_prompts(
    request: JobRequest, model: Family, encodings: ByteBudgetCache
) -> tuple[EncodedPrompt, ...]:
    def encoded(prompt: str, clip_skip: int) -> EncodedPrompt:
        made: EncodedPrompt = encodings.get_or_make(
            ("prompt", request.model, prompt, clip_skip, request.prompt_weighting),
            lambda: model.encode_prompt(prompt, clip_skip=clip_skip, weighting=request.prompt_weighting),
            lambda made: made.size_bytes,
        )
        return made

    prompt = encoded(request.prompt, request.clip_skip)
    if model.guidance_is_an_input or not uses_guidance(request.guidance_scale):
        return (prompt,)
    # As in diffusers, the negative prompt goes through all layers.
    return model.match_prompts(prompt, encoded(request.negative_prompt, 0))
