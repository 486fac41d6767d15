"""A job in the engine: a request and everything that has become of it so far."""

import hashlib
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from underpaint.diffusion.autoencoder import Autoencoder
from underpaint.diffusion.deep_cache import DeepFeatures
from underpaint.diffusion.embedding_names import is_named
from underpaint.diffusion.encoded import EncodedPicture, EncodedPrompt, Hidden, Picture
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, Row
from underpaint.diffusion.latent_tiles import GatheredTiles, LatentTiles
from underpaint.diffusion.lora import Loras, TakesLoras
from underpaint.diffusion.mask_crop import MaskCrop
from underpaint.diffusion.masking import FAINTEST, KeptLatents, join, latent_mask
from underpaint.diffusion.sampler import Sampler, build_scheduler
from underpaint.diffusion.strength import steps_to_run
from underpaint.diffusion.textual_inversion import NewWord, TakesEmbeddings
from underpaint.engine.additions import LoadedAdditions, RowPrompts
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.messages import DeepCache, JobRequest, Mask, ModelReference, Pass

TILE_OVERLAP = 4
"""Tiles share this fraction of their side with the next one, at least: a quarter."""


class _Leg:
    """One pass of a job: a sampler of its own, and what leads it."""

    def __init__(
        self,
        asked: Pass,
        request: JobRequest,
        model: Family,
        encodings: ByteBudgetCache,
        *,
        loras: Loras,
        words: Sequence[NewWord],
        image_prompts: RowPrompts,
        number: int,
        generator: torch.Generator,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        family = FAMILY_OF_ARCHITECTURE[request.model.architecture]
        # Not one noise twice: what is the same in every pass adds up.
        seed = (request.seed + number) % 2**63
        scheduler = build_scheduler(
            family.schedulers[asked.scheduler],
            {**model.scheduler_config, **family.scheduler_config},
            seed=seed,
        )
        strength = None if request.picture is None and number == 0 else asked.strength
        self.sampler = Sampler(
            scheduler,
            steps=asked.steps,
            strength=strength,
            generator=generator,
            first=first,
            last=last,
            schedule=model.schedule(
                steps=asked.steps, width_px=request.width_px, height_px=request.height_px
            ),
        )
        self.from_noise = strength is None or strength >= 1.0
        """Whether it begins with noise alone, where a mask says what of the picture comes back."""
        self.guidance_scale = asked.guidance_scale
        self.loras = loras
        self.image_prompts = image_prompts
        self.prompts = _encoded_prompts(asked, request, model, encodings, loras, words)
        cache = _deep_cache(request)
        self._interval = 1 if cache is None else cache.interval
        self.deep = [] if cache is None else [DeepFeatures(branch=cache.branch) for _ in self.prompts]
        """One for each row."""

    @property
    def runs_whole(self) -> bool:
        """Whether the next evaluation runs the whole model."""
        evaluated = self.sampler.forwards - self.sampler.forwards_left
        return evaluated % self._interval == 0

    @property
    def is_plain(self) -> bool:
        """Whether its passes are those of the model as it is, which a compiled form of it can run."""
        return not (self.loras or self.image_prompts.conditional or self.deep)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `Trajectory.state` gave, in a leg that has not begun."""
        self.sampler.restore(state["sampler"])
        for deep, values in zip(self.deep, state["deep"], strict=True):
            deep.values = values


class Trajectory:
    """The part of a job that needs its model: latents, sampler state and encoded prompts."""

    def __init__(
        self, request: JobRequest, model: Family, encodings: ByteBudgetCache, additions: LoadedAdditions
    ) -> None:
        generator = torch.Generator("cpu").manual_seed(request.seed)
        picture, mask = request.picture, request.mask
        self._request = request
        self._crop: MaskCrop | None = None
        if picture is not None and mask is not None and request.mask_margin_px is not None:
            self._crop = MaskCrop.around(mask, request.mask_margin_px)
            if self._crop is not None:
                picture, mask = self._crop.enlarge(picture), self._crop.enlarge_mask(mask)
        loras = additions.loras(request, model)
        self._words = additions.words(request, model)
        self._sees_mask = model.sees_mask
        self._autoencoder = additions.autoencoder(request, model)
        self._beside: Tensor | None = None
        image_prompts = additions.image_prompts(request, model, encodings)
        self._mask: Tensor | None = None
        self._kept: KeptLatents | None = None
        # All of them now, so that a prompt that cannot be read fails the job before its first step.
        legs = [
            _Leg(
                asked,
                request,
                model,
                encodings,
                loras=loras,
                words=self._words,
                image_prompts=image_prompts,
                number=number,
                generator=generator,
                last=request.refiner.start_step if request.refiner else None,
            )
            for number, asked in enumerate(request.passes)
            if steps_of(asked)
        ]
        self._leg, *self._legs_to_come = legs
        self._steps_behind = self._passes_behind = 0
        self._generator = generator
        self._refiner = request.refiner
        """The refiner that is still to take over."""
        self._refiner_state: Mapping[str, Any] | None = None
        """Where the refiner was, in a job that goes on."""
        # In the order in which diffusers' pipelines draw: first the autoencoder's noise, then the trajectory's.
        shape = model.latent_shape(width_px=request.width_px, height_px=request.height_px)
        if mask is not None:
            self._mask = latent_mask(mask, model.pixels_per_latent)
        if picture is None:
            self._latents = self._leg.sampler.start_from_noise(shape)
        elif model.sees_map:
            shown = _encoded_picture(picture, request, self._autoencoder, model, encodings).sample(generator)
            self._beside = shown[0]
            self._latents = self._leg.sampler.start_from_noise(shape)
        elif (
            self._mask is not None
            and self._sees_mask
            and self._leg.from_noise
            and not model.encodes_from_noise
        ):
            # Nothing of the picture but what the model is shown beside: the pipelines do not even encode it.
            self._latents = self._start(torch.zeros(shape))
            if self._refiner is not None:
                # A refiner does not see the mask: what is kept has to be put back. Without a sample, which would be
                # noise that the pipelines do not draw.
                self._clean = _encoded_picture(picture, request, self._autoencoder, model, encodings).mean
        else:
            encoded = _encoded_picture(picture, request, self._autoencoder, model, encodings)
            self._clean = encoded.sample(generator)
            # diffusers' pipelines encode the masked picture too, also for checkpoints that do not take it.
            self._draws_for_masked = encoded.std is not None
            self._latents = self._start(self._clean)
        if self._sees_mask:
            shown = _shown(picture, mask, request, self._autoencoder, model, encodings).sample(generator)
            if mask is None:
                mask = np.full((request.height_px, request.width_px), 255, np.uint8)
            self._beside = model.beside(shown, mask)[0]
        self._scaled = self._latents[0]
        self._tiles: LatentTiles | None = None
        self._gathered: GatheredTiles | None = None
        if request.tile_px is not None:
            self._tiles = LatentTiles(
                height=shape[2],
                width=shape[3],
                side=request.tile_px // model.pixels_per_latent,
                overlap=request.tile_px // TILE_OVERLAP // model.pixels_per_latent,
            )
            self._gathered = GatheredTiles(self._tiles)

    @property
    def forwards_left(self) -> int:
        """Forward passes still to come: model evaluations, the refiner's as if its sampler were of first order, or
        tiles of them.
        """
        refining = 0 if self._refiner is None else self._request.steps - self._refiner.start_step
        to_come = sum(leg.sampler.forwards for leg in self._legs_to_come)
        left = self._leg.sampler.forwards_left + to_come + refining
        if self._tiles is None or self._gathered is None:
            return left
        return left * len(self._tiles.corners) - self._gathered.number

    @property
    def waits_for_refiner(self) -> bool:
        """Whether the refiner is next: `refine` has to be called before `rows`."""
        return self._refiner is not None and not self._leg.sampler.forwards_left

    @property
    def is_refining(self) -> bool:
        """Whether the next forward pass is the refiner's."""
        return self._request.refiner is not None and (self._refiner is None or self.waits_for_refiner)

    def refine(self, model: Family, encodings: ByteBudgetCache) -> None:
        """Go on with the refiner. It takes the latents as they are, as diffusers' `denoising_start` does."""
        assert self._refiner is not None, "there is a refiner"
        request = replace(self._request, model=self._refiner.model)
        leg = _Leg(
            request.passes[0],
            request,
            model,
            encodings,
            # They are for the model that it takes over from.
            loras=(),
            # These are not: its encoder is the second one of that model.
            words=self._words,
            image_prompts=RowPrompts(),
            number=1,
            generator=self._generator,
            first=self._refiner.start_step,
        )
        if not model.sees_mask:
            self._beside, self._sees_mask = None, False
            if self._mask is not None and self._kept is None:
                noise = leg.sampler.draw_noise(tuple(self._latents.shape))
                self._kept = KeptLatents(self._clean, self._mask, noise)
        if self._refiner_state is not None:
            leg.restore(self._refiner_state)
        self._steps_behind += self._leg.sampler.steps
        self._leg, self._refiner, self._refiner_state = leg, None, None

    @property
    def steps_done(self) -> int:
        """Steps behind it, of all passes."""
        return self._steps_behind + self._leg.sampler.steps_done

    @property
    def row_count(self) -> int:
        """Rows of the next forward pass."""
        return len(self._leg.prompts)

    @property
    def shortcut(self) -> tuple[int, bool] | None:
        """Under DeepCache its branch, and whether the next pass is a whole one."""
        return (self._leg.deep[0].branch, self._leg.runs_whole) if self._leg.deep else None

    @property
    def is_plain(self) -> bool:
        """Whether the next pass is that of the model as it is, without LoRAs, image prompts or shortcuts."""
        return self._leg.is_plain

    @property
    def tokens(self) -> int:
        """Length of its encoded prompts; only prompts of one length fit into one forward pass."""
        return self._leg.prompts[0].tokens

    def rows(self) -> list[Row]:
        """Rows of the next forward pass: the prompt's, and with guidance the negative prompt's after it."""
        sampler = self._leg.sampler
        beside = self._beside
        if self._gathered is None or not self._gathered.number:
            self._scaled = sampler.model_input(self._latents)[0]
        scaled = self._scaled
        if self._tiles is not None and self._gathered is not None:
            scaled = self._tiles.cut(scaled, self._gathered.number)
            beside = None if beside is None else self._tiles.cut(beside, self._gathered.number)
        timestep = sampler.timestep
        for deep in self._leg.deep:
            deep.due = self._leg.runs_whole
        return [
            Row(
                latents=scaled,
                timestep=timestep,
                prompt=prompt,
                negative=position > 0,
                guidance_scale=self._leg.guidance_scale,
                loras=self._leg.loras,
                beside=beside,
                image_prompts=self._leg.image_prompts[position > 0],
                deep=self._leg.deep[position] if self._leg.deep else None,
            )
            for position, prompt in enumerate(self._leg.prompts)
        ]

    def advance(self, predictions: Tensor) -> None:
        """Take one pass: `predictions` are (rows, channels, height, width), in the order of `rows`."""
        sampler = self._leg.sampler
        guided = self._guided(predictions)
        if self._gathered is not None:
            whole = self._gathered.add(guided)
            if whole is None:
                return
            guided = whole
        self._latents = sampler.step(guided, self._latents)
        if self._kept is not None:
            self._latents = self._kept.put_back(self._latents, sampler)
        if not sampler.forwards_left and self._legs_to_come:
            self._next_leg()
            self._latents = self._start(self._latents)

    def preview(self, predictions: Tensor, model: Family) -> Picture | None:
        """What the picture is becoming, one pixel for each latent. Takes what `advance` takes, and goes before it.

        None where the model works in tiles: no pass sees the whole.
        """
        if self._gathered is not None:
            return None
        timestep = self._leg.sampler.timestep
        clean = model.predicted_latents(self._scaled, self._guided(predictions)[0], timestep)
        return (self._autoencoder or model).sketch(clean)

    def paint(self, model: Family) -> Picture:
        """The picture of the latents as they are."""
        painted = (self._autoencoder or model).decode(self._latents)
        picture, mask = self._request.picture, self._request.mask
        if picture is None or mask is None:
            return painted
        if self._crop is not None:
            painted = self._crop.put_back(painted, picture)
        return join(painted, picture, mask)

    def state(self) -> dict[str, Any]:
        """How far it is, in plain values and tensors, to be copied before the next `advance`."""
        return {
            "passes": self._passes_behind,
            "refining": self._request.refiner is not None and self._refiner is None,
            "latents": self._latents,
            "noise": None if self._kept is None else self._kept.noise,
            "sampler": self._leg.sampler.state(),
            "deep": [deep.values for deep in self._leg.deep],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take on what `state` gave, in a trajectory of an equal request that has not begun."""
        for _ in range(state["passes"]):
            self._next_leg()
        self._latents = state["latents"]
        if self._mask is not None and state["noise"] is not None:
            self._kept = KeptLatents(self._clean, self._mask, state["noise"])
        if state["refining"]:
            self._leg.sampler.finish()
            self._refiner_state = state
        else:
            self._leg.restore(state)

    def _next_leg(self) -> None:
        self._steps_behind += self._leg.sampler.steps
        self._passes_behind += 1
        self._leg = self._legs_to_come.pop(0)

    def _start(self, latents: Tensor) -> Tensor:
        """Latents without noise, of the picture or of the pass before, as the pass that begins takes them up."""
        sampler = self._leg.sampler
        if self._mask is None:
            return sampler.start_from_picture(latents)
        noise = sampler.draw_noise(tuple(latents.shape))
        if not self._sees_mask:
            self._kept = KeptLatents(self._clean, self._mask, noise)
            if self._draws_for_masked:
                sampler.draw_noise(tuple(latents.shape))
        if self._leg.from_noise:
            return sampler.scaled_noise(noise)
        return sampler.noised_to_here(latents, noise)

    def _guided(self, predictions: Tensor) -> Tensor:
        if len(predictions) == 1:
            return predictions
        # Classifier-free guidance, Ho and Salimans, arXiv:2207.12598, Eq. 6.
        conditional, unconditional = predictions[:1], predictions[1:]
        return unconditional + self._leg.guidance_scale * (conditional - unconditional)


class Job:
    """A request, and its trajectory once the model has been at hand."""

    def __init__(self, request: JobRequest) -> None:
        self.request = request = _without_idle_base(request)
        self.trajectory: Trajectory | None = None
        self.passes_waited = 0
        """Passes since its last one, or since its arrival."""
        self.kept_s = time.monotonic()
        """When its state was last kept; before, when it came."""
        self.steps = sum(steps_of(asked) for asked in request.passes)
        """Steps that will run in all passes."""
        self._tiles = _tile_count(request)

    @property
    def forwards_left(self) -> int:
        """Passes still to come; before the trajectory exists, as if its sampler were of first order."""
        return self.steps * self._tiles if self.trajectory is None else self.trajectory.forwards_left

    @property
    def group(self) -> tuple[object, ...]:
        """Jobs of equal groups can share a forward pass if their prompts, too, are of one length."""
        if self.trajectory is not None:
            shortcut = self.trajectory.shortcut
        else:
            cache = _deep_cache(self.request)
            shortcut = None if cache is None else (cache.branch, True)
        tile_px = self.request.tile_px
        return (self.model, tile_px or self.request.width_px, tile_px or self.request.height_px, shortcut)

    @property
    def is_plain(self) -> bool:
        """Whether the next forward pass is that of the model as it is, without LoRAs, image prompts or shortcuts."""
        if self.trajectory is not None and not self.trajectory.waits_for_refiner:
            return self.trajectory.is_plain
        if _deep_cache(self.request) is not None:
            return False
        return self.trajectory is not None or not (self.request.loras or self.request.image_prompts)

    @property
    def model(self) -> ModelReference:
        """Of the next forward pass."""
        if self.request.refiner is None or self.trajectory is None or not self.trajectory.is_refining:
            return self.request.model
        return self.request.refiner.model

    @property
    def pixels(self) -> int:
        """Of its picture, or of a tile of it: what one row of a forward pass is for."""
        if self.request.tile_px is not None:
            return self.request.tile_px**2
        return self.request.width_px * self.request.height_px

    @property
    def row_count(self) -> int:
        """Rows that it takes in a forward pass; before the trajectory exists, as if guidance took one of its own."""
        if self.trajectory is not None:
            return self.trajectory.row_count
        return 2 if uses_guidance(self.request.guidance_scale) else 1


def _without_idle_base(request: JobRequest) -> JobRequest:
    """The same request of the refiner alone, where its strength leaves no step to the model before it."""
    if request.refiner is None or request.picture is None:
        return request
    skipped = request.steps - steps_to_run(request.steps, request.strength)
    if skipped < request.refiner.start_step:
        return request
    # What acts upon the model before it does not act upon the refiner.
    return replace(request, model=request.refiner.model, refiner=None, loras=(), image_prompts=())


def _tile_count(request: JobRequest) -> int:
    if request.tile_px is None:
        return 1
    overlap = request.tile_px // TILE_OVERLAP
    tiles = LatentTiles(
        height=request.height_px, width=request.width_px, side=request.tile_px, overlap=overlap
    )
    return len(tiles.corners)


def _deep_cache(request: JobRequest) -> DeepCache | None:
    """Not for pictures in tiles, each of which has deep layers of its own."""
    return request.deep_cache if request.tile_px is None else None


def steps_of(asked: Pass) -> int:
    """Steps of a pass that will run; 0 for one that leaves everything as it is."""
    return steps_to_run(asked.steps, asked.strength)


def uses_guidance(guidance_scale: float) -> bool:
    """Whether a guidance scale asks for an unconditional row. At 1 and below, guidance is off, as the API has it."""
    return guidance_scale > 1.0


def _encoded_picture(
    picture: Picture,
    request: JobRequest,
    autoencoder: Autoencoder | None,
    model: Family,
    encodings: ByteBudgetCache,
    *,
    hidden: Hidden | None = None,
) -> EncodedPicture:
    digest = hashlib.blake2b(picture.tobytes(), digest_size=32)
    digest.update(b"" if hidden is None else hidden.tobytes())
    by = (request.model, request.vae and request.vae.location)
    encoded: EncodedPicture = encodings.get_or_make(
        ("picture", *by, picture.shape, hidden is None, digest.digest()),
        lambda: (
            autoencoder.encode(picture, hidden=hidden)
            if autoencoder
            else model.encode_picture(picture, hidden=hidden)
        ),
        lambda encoded: encoded.size_bytes,
    )
    return encoded


def _shown(
    picture: Picture | None,
    mask: Mask | None,
    request: JobRequest,
    autoencoder: Autoencoder | None,
    model: Family,
    encodings: ByteBudgetCache,
) -> EncodedPicture:
    """What an inpainting model is shown: what the mask keeps, and without a mask nothing."""
    if picture is None or mask is None:
        picture = np.zeros((request.height_px, request.width_px, 3), np.uint8)
        hidden = np.ones((request.height_px, request.width_px), np.bool_)
    else:
        hidden = mask >= FAINTEST
    return _encoded_picture(picture, request, autoencoder, model, encodings, hidden=hidden)


def _encoded_prompts(
    asked: Pass,
    request: JobRequest,
    model: Family,
    encodings: ByteBudgetCache,
    loras: Loras,
    words: Sequence[NewWord],
) -> tuple[EncodedPrompt, ...]:
    heard: Hashable = ()
    with ExitStack() as stack:
        if words:
            assert isinstance(model, TakesEmbeddings), "they have been loaded for it"
            stack.enter_context(model.with_words(words))
        if loras:
            assert isinstance(model, TakesLoras), "they have been loaded for it"
            stack.enter_context(model.with_loras(loras))
            # Prompts are the same to those LoRAs that leave the text encoders alone.
            heard = tuple(
                (addition.location, addition.weight)
                for addition, (lora, _) in zip(request.loras, loras, strict=True)
                if lora.touches_any(model.text_networks)
            )
        return _encoded_by(asked, request, model, encodings, loras=heard)


def _encoded_by(
    asked: Pass, request: JobRequest, model: Family, encodings: ByteBudgetCache, *, loras: Hashable
) -> tuple[EncodedPrompt, ...]:
    def encoded(prompt: str, clip_skip: int, *, negative: bool = False) -> EncodedPrompt:
        named = tuple(
            (each.location, each.triggers, each.weight)
            for each in request.embeddings
            if is_named(prompt, each.triggers)
        )
        made: EncodedPrompt = encodings.get_or_make(
            ("prompt", request.model, prompt, negative, clip_skip, request.prompt_weighting, loras, named),
            lambda: model.encode_prompt(
                prompt, negative=negative, clip_skip=clip_skip, weighting=request.prompt_weighting
            ),
            lambda made: made.size_bytes,
        )
        return made

    prompt = encoded(asked.prompt, request.clip_skip)
    if model.guidance_is_an_input or not uses_guidance(asked.guidance_scale):
        return (prompt,)
    # As in diffusers, the negative prompt goes through all layers.
    return model.match_prompts(prompt, encoded(asked.negative_prompt, 0, negative=True))
