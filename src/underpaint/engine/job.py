"""A job in the engine: a request and everything that has become of it so far."""

import torch
from torch import Tensor

from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.stable_diffusion import Picture, Row, StableDiffusion
from underpaint.diffusion.strength import steps_to_run
from underpaint.engine.messages import JobRequest


class Trajectory:
    """The part of a job that needs its model: latents, sampler state and encoded prompts."""

    def __init__(self, request: JobRequest, model: StableDiffusion) -> None:
        generator = torch.Generator("cpu").manual_seed(request.seed)
        scheduler = build_scheduler(
            model.schedulers[request.scheduler], model.scheduler_config, seed=request.seed
        )
        picture = request.picture
        self._guidance_scale = request.guidance_scale
        self._sampler = Sampler(
            scheduler,
            steps=request.steps,
            strength=None if picture is None else request.strength,
            generator=generator,
        )
        # In the order in which diffusers' pipelines draw: first the autoencoder's noise, then the trajectory's.
        if picture is None:
            shape = model.latent_shape(width_px=request.width_px, height_px=request.height_px)
            self._latents = self._sampler.start_from_noise(shape)
        else:
            self._latents = self._sampler.start_from_picture(model.encode_picture(picture, generator))
        self._prompts = _encode_prompts(request, model)

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
        return len(self._prompts[0])

    def rows(self) -> list[Row]:
        """Rows of the next forward pass: the prompt's, and with guidance the negative prompt's after it."""
        scaled = self._sampler.model_input(self._latents)[0]
        timestep = self._sampler.timestep
        return [
            Row(latents=scaled, timestep=timestep, prompt=prompt, guidance_scale=self._guidance_scale)
            for prompt in self._prompts
        ]

    def advance(self, predictions: Tensor) -> None:
        """Take one evaluation: `predictions` are (rows, channels, height, width), in the order of `rows`."""
        guided = predictions[:1]
        if len(predictions) == 2:
            # Classifier-free guidance, Ho and Salimans, arXiv:2207.12598, Eq. 6.
            unconditional = predictions[1:]
            guided = unconditional + self._guidance_scale * (guided - unconditional)
        self._latents = self._sampler.step(guided, self._latents)

    def paint(self, model: StableDiffusion) -> Picture:
        """The picture of the latents as they are."""
        return model.decode(self._latents)


class Job:
    """A request, and its trajectory once the model has been at hand."""

    def __init__(self, request: JobRequest) -> None:
        self.request = request
        self.trajectory: Trajectory | None = None
        self.passes_left_out = 0
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


def _encode_prompts(request: JobRequest, model: StableDiffusion) -> tuple[Tensor, ...]:
    prompt = model.encode_prompt(request.prompt, clip_skip=request.clip_skip)
    if model.guidance_is_an_input or not uses_guidance(request.guidance_scale):
        return (prompt,)
    return model.match_prompts(prompt, model.encode_prompt(request.negative_prompt))
