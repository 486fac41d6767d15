"""The part of a job that needs its model: latents, sampler state and encoded prompts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from underpaint.diffusion.color_fix import with_colors_of
from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, Row
from underpaint.diffusion.latent_tiles import GatheredTiles
from underpaint.diffusion.mask_crop import MaskCrop
from underpaint.diffusion.masking import KeptLatents, join, latent_mask
from underpaint.engine.additions import Acting, LoadedAdditions
from underpaint.engine.controlnets import ActingControl
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.leg import Leg, steps_of
from underpaint.engine.messages import JobRequest, Mask, Precision
from underpaint.engine.seed_pictures import encoded_picture, shown_picture
from underpaint.engine.tiles import tiles_of


class Trajectory:
    """The part of a job that needs its model: latents, sampler state and encoded prompts."""

    def __init__(
        self,
        request: JobRequest,
        model: Family,
        encodings: ByteBudgetCache,
        additions: LoadedAdditions,
        *,
        compiled: Precision | None = None,
    ) -> None:
        self.compiled = compiled
        """In which precision the compiled form of the model runs its plain passes; None where PyTorch does. A job stays
        with what it began with."""
        self._request = request
        self._generator = torch.Generator("cpu").manual_seed(request.seed)
        picture, mask = request.picture, request.mask
        self._crop: MaskCrop | None = None
        if picture is not None and mask is not None and request.mask_margin_px is not None:
            self._crop = MaskCrop.around(mask, request.mask_margin_px)
            if self._crop is not None:
                picture, mask = self._crop.enlarge(picture), self._crop.enlarge_mask(mask)
        self._additions = additions.acting(request, model, encodings, crop=self._crop, mask=mask)
        # All of them now, so that a prompt that cannot be read fails the job before its first step.
        self._leg, *self._legs_to_come = [
            Leg(
                asked,
                request,
                model,
                encodings,
                additions=self._additions,
                number=number,
                generator=self._generator,
                last=request.refiner.start_step if request.refiner else None,
            )
            for number, asked in enumerate(request.passes)
            if steps_of(asked)
        ]
        self._steps_behind = self._passes_behind = 0
        self._refiner = request.refiner
        """The refiner that is still to take over."""
        self._refiner_state: Mapping[str, Any] | None = None
        """Where the refiner was, in a job that goes on."""
        self._sees_mask = model.sees_mask
        self._pixels_per_latent = model.pixels_per_latent
        self._mask = None if mask is None else latent_mask(mask, model.pixels_per_latent)
        self._kept: KeptLatents | None = None
        # In the order in which diffusers' pipelines draw: first the autoencoder's noise, then the trajectory's, then
        # that of what the model is shown.
        self._beside: Tensor | None = None
        self._latents = self._begin(picture, model, encodings)
        if self._sees_mask:
            self._beside = self._beside_mask(picture, mask, model, encodings)
        # As they are and not drawn from what the encoder is unsure of, as in diffusers' pipelines.
        self._references = [
            encoded_picture(each, request, self._additions.autoencoder, model, encodings).mean[0]
            for each in request.reference_pictures
        ]
        self._scaled = self._latents[0]
        tiles = tiles_of(request, pixels_per_latent=model.pixels_per_latent)
        self._tiles = None if tiles is None else GatheredTiles(tiles)

    def _begin(self, picture: Picture | None, model: Family, encodings: ByteBudgetCache) -> Tensor:
        """The latents that the first step takes, and what of the picture has to be kept for later."""
        request, autoencoder = self._request, self._additions.autoencoder
        shape = model.latent_shape(width_px=request.width_px, height_px=request.height_px)
        if picture is None:
            return self._leg.sampler.start_from_noise(shape)
        if model.sees_map:
            encoded = encoded_picture(picture, request, autoencoder, model, encodings)
            self._beside = encoded.sample(self._generator)[0]
            return self._leg.sampler.start_from_noise(shape)
        shown_alone = self._mask is not None and self._sees_mask and self._leg.from_noise
        if shown_alone and not model.encodes_from_noise:
            # Nothing of the picture but what the model is shown beside: the pipelines do not even encode it.
            if self._refiner is not None:
                # A refiner does not see the mask: what is kept has to be put back. Without a sample, which would be
                # noise that the pipelines do not draw.
                self._clean = encoded_picture(picture, request, autoencoder, model, encodings).mean
            return self._start(torch.zeros(shape))
        encoded = encoded_picture(picture, request, autoencoder, model, encodings)
        draws = FAMILY_OF_ARCHITECTURE[request.model.architecture].draws_seed
        self._clean = encoded.sample(self._generator) if draws else encoded.mean
        # diffusers' pipelines encode the masked picture too, also for checkpoints that do not take it.
        self._draws_for_masked = encoded.std is not None
        return self._start(self._clean)

    def _beside_mask(
        self, picture: Picture | None, mask: Mask | None, model: Family, encodings: ByteBudgetCache
    ) -> Tensor:
        """What an inpainting model is shown beside the latents; without a mask it paints everything anew."""
        request = self._request
        shown = shown_picture(picture, mask, request, self._additions.autoencoder, model, encodings)
        if mask is None:
            mask = np.full((request.height_px, request.width_px), 255, np.uint8)
        return model.beside(shown.sample(self._generator), mask)[0]

    @property
    def forwards_left(self) -> int:
        """Forward passes still to come: model evaluations, the refiner's as if its sampler were of first order, or
        tiles of them.
        """
        refining = 0 if self._refiner is None else self._request.steps - self._refiner.start_step
        to_come = sum(leg.sampler.forwards for leg in self._legs_to_come)
        left = self._leg.sampler.forwards_left + to_come + refining
        return left if self._tiles is None else left * self._tiles.count - self._tiles.number

    @property
    def waits_for_refiner(self) -> bool:
        """Whether the refiner is next: `refine` has to be called before `rows`."""
        return self._refiner is not None and not self._leg.sampler.forwards_left

    @property
    def is_refining(self) -> bool:
        """Whether the next forward pass is the refiner's."""
        return self._request.refiner is not None and (self._refiner is None or self.waits_for_refiner)

    def refine(self, model: Family, encodings: ByteBudgetCache, *, compiled: Precision | None = None) -> None:
        """Go on with the refiner. It takes the latents as they are, as diffusers' `denoising_start` does.

        Args:
            model: the refiner.
            encodings: of prompts, by content.
            compiled: of the refiner, as in the constructor.
        """
        assert self._refiner is not None, "there is a refiner"
        request = replace(self._request, model=self._refiner.model)
        leg = Leg(
            request.passes[0],
            request,
            model,
            encodings,
            # The others are for the model that it takes over from; its encoder is the second one of that model.
            additions=Acting(words=self._additions.words),
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
            if self._refiner_state["compiled"] != compiled:
                compiled = None
        self._steps_behind += self._leg.sampler.steps
        self._leg, self._refiner, self._refiner_state = leg, None, None
        self.compiled = compiled

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
    def runs_compiled(self) -> bool:
        """Whether the compiled form of the model runs the next pass: one without what acts upon it, or shortcuts."""
        return self.compiled is not None and self._leg.is_plain

    @property
    def tokens(self) -> int:
        """Length of its encoded prompts; only prompts of one length fit into one forward pass."""
        return self._leg.prompts[0].tokens

    def rows(self) -> list[Row]:
        """Rows of the next forward pass: the prompt's, and with guidance the negative prompt's after it."""
        sampler = self._leg.sampler
        beside = self._beside
        if self._tiles is None or not self._tiles.number:
            self._scaled = sampler.model_input(self._latents)[0]
        scaled = self._scaled
        if self._tiles is not None:
            scaled = self._tiles.cut(scaled)
            beside = None if beside is None else self._tiles.cut(beside)
        timestep = sampler.timestep
        controls = [each.control(self._map_of(each)) for each in self._leg.acting_controls]
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
                references=self._references,
                image_prompts=self._leg.image_prompts[position > 0],
                controls=controls,
                deep=self._leg.deep[position] if self._leg.deep else None,
                compiled=self.runs_compiled,
            )
            for position, prompt in enumerate(self._leg.prompts)
        ]

    def advance(self, predictions: Tensor) -> None:
        """Take one pass: `predictions` are (rows, channels, height, width), in the order of `rows`."""
        sampler = self._leg.sampler
        guided = self._guided(predictions)
        if self._tiles is not None:
            whole = self._tiles.add(guided)
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
        if self._tiles is not None:
            return None
        timestep = self._leg.sampler.timestep
        clean = model.predicted_latents(self._scaled, self._guided(predictions)[0], timestep)
        return (self._additions.autoencoder or model).sketch(clean)

    def paint(self, model: Family) -> Picture:
        """The picture of the latents as they are."""
        painted = (self._additions.autoencoder or model).decode(self._latents)
        picture, mask = self._request.picture, self._request.mask
        if picture is not None and self._request.color_fix:
            return with_colors_of(picture, painted)
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
            "compiled": self.compiled,
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

    def _map_of(self, control: ActingControl) -> Tensor:
        """A ControlNet's map of what the next pass works on."""
        if self._tiles is None:
            return control.map
        return self._tiles.cut(control.map, scale=self._pixels_per_latent)

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
