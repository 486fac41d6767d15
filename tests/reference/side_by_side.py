"""The same request through the engine and through diffusers' own pipelines."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import diffusers
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from underpaint.diffusion.quiet import quiet_libraries
from underpaint.diffusion.scheduler_classes import LMSFromAnyStep, PNDMFromAnyStep, scheduler_class
from underpaint.engine.engine import Engine
from underpaint.engine.messages import (
    Addition,
    Control,
    Embedding,
    EngineOptions,
    Event,
    Failed,
    Finished,
    ImagePrompt,
    JobRequest,
    Mask,
    ModelReference,
    Picture,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What both sides are asked for."""

    prompt: str = "a red house by the sea, watercolor"
    negative_prompt: str = "people, fog"
    steps: int = 10
    guidance_scale: float = 7.5
    scheduler: str = "DDIM"
    seed: int = 3
    clip_skip: int = 0
    prompt_weighting: Literal["compel", "sdEmbeds"] | None = None
    """Of ours alone."""
    strength: float = 1.0
    picture: Picture | None = field(default=None, repr=False)
    mask: Mask | None = field(default=None, repr=False)
    vae: Path | None = None
    """A file of another VAE."""
    loras: tuple[tuple[Path, float], ...] = ()
    """Files, each with its weight."""
    embeddings: tuple[Embedding, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    controls: tuple[Control, ...] = ()
    """All of one mode; not both this and another kind of what acts upon the model."""
    width_px: int = 64
    height_px: int = 64


@dataclass(frozen=True, kw_only=True)
class ReferenceScheduler:
    """diffusers' class by name, and its options."""

    class_name: str
    options: Mapping[str, Any] = field(default_factory=dict)


class SideBySide:
    """One checkpoint, loaded by both."""

    def __init__(
        self, folder: Path, *, architecture: str = "sd1x", pipeline: str = "StableDiffusion{}Pipeline"
    ) -> None:
        """Load it. `pipeline` is the name of diffusers' classes, with a place for what they are for."""
        self._folder = folder
        self._model = ModelReference(architecture=architecture, location=folder)
        self._pipeline = pipeline
        self._events: list[Event] = []
        self._engine = Engine(EngineOptions(device="cpu", threads=1), emit=self._events.append)
        with quiet_libraries():
            self._text_to_image: Any = getattr(diffusers, pipeline.format("")).from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            )
        self._text_to_image.set_progress_bar_config(disable=True)
        # diffusers' clip_skip looks for a level of CLIPTextModel that transformers 5 no longer has. Set so that torch
        # does not take it for a submodule, which would contain itself.
        object.__setattr__(self._text_to_image.text_encoder, "text_model", self._text_to_image.text_encoder)
        self._own_config = dict(self._text_to_image.scheduler.config)

    def ours(self, asked: Asked) -> Picture:
        self._events.clear()
        self._engine.submit(
            [
                JobRequest(
                    job_id="only",
                    owner="anyone",
                    model=self._model,
                    prompt=asked.prompt,
                    negative_prompt=asked.negative_prompt,
                    width_px=asked.width_px,
                    height_px=asked.height_px,
                    steps=asked.steps,
                    guidance_scale=asked.guidance_scale,
                    scheduler=asked.scheduler,
                    seed=asked.seed,
                    strength=asked.strength,
                    picture=asked.picture,
                    mask=asked.mask,
                    clip_skip=asked.clip_skip,
                    vae=None if asked.vae is None else Addition(air="vae:1@1", location=asked.vae),
                    image_prompts=asked.image_prompts,
                    controls=asked.controls,
                    embeddings=asked.embeddings,
                    prompt_weighting=asked.prompt_weighting,
                    loras=tuple(
                        Addition(air="lora:1@1", location=location, weight=weight)
                        for location, weight in asked.loras
                    ),
                )
            ]
        )
        while self._engine.busy:
            self._engine.tick()
        (outcome,) = (event for event in self._events if isinstance(event, (Finished, Failed)))
        assert isinstance(outcome, Finished), outcome
        return outcome.picture

    def _with_ip_adapters(self, asked: Asked) -> Any:
        """Another pipeline of diffusers', with its own way of taking IP-Adapters."""
        with quiet_libraries():
            pipeline = getattr(diffusers, self._pipeline.format("")).from_pretrained(
                self._folder, dtype=torch.float32, local_files_only=True
            )
            pipeline.set_progress_bar_config(disable=True)
            (encoder,) = {prompt.encoder for prompt in asked.image_prompts}
            pipeline.load_ip_adapter(
                [str(prompt.location.parent) for prompt in asked.image_prompts],
                subfolder="",
                weight_name=[prompt.location.name for prompt in asked.image_prompts],
                image_encoder_folder=encoder.name,
            )
            pipeline.set_ip_adapter_scale([prompt.weight for prompt in asked.image_prompts])
        return pipeline

    def _with_controls(self, pipeline: Any, asked: Asked) -> Any:
        """Another pipeline of diffusers', with its ControlNets: a list of them, or one alone."""
        kind = "" if asked.picture is None else "Img2Img" if asked.mask is None else "Inpaint"
        nets = [
            diffusers.ControlNetModel.from_pretrained(control.location, local_files_only=True)
            for control in asked.controls
        ]
        controlled = getattr(diffusers, self._pipeline.format(f"ControlNet{kind}")).from_pipe(
            pipeline, vae=pipeline.vae, controlnet=nets if len(nets) > 1 else nets[0]
        )
        controlled.set_progress_bar_config(disable=True)
        return controlled

    def _with_embeddings(self, asked: Asked) -> Any:
        """Another pipeline of diffusers', with its own way of taking textual inversions; weights are in the vectors."""
        with quiet_libraries():
            pipeline = getattr(diffusers, self._pipeline.format("")).from_pretrained(
                self._folder, dtype=torch.float32, local_files_only=True
            )
            pipeline.set_progress_bar_config(disable=True)
            for each in asked.embeddings:
                tensors = load_file(each.location)
                for number, key in (("", "clip_l"), ("_2", "clip_g")):
                    encoder = getattr(pipeline, f"text_encoder{number}", None)
                    if encoder is None:
                        continue
                    vectors = tensors[key] if key in tensors else next(iter(tensors.values()))
                    pipeline.load_textual_inversion(
                        vectors * each.weight,
                        token=each.triggers[0],
                        text_encoder=encoder,
                        tokenizer=getattr(pipeline, f"tokenizer{number}"),
                    )
        object.__setattr__(pipeline.text_encoder, "text_model", pipeline.text_encoder)
        return pipeline

    def _with_loras(self, asked: Asked) -> Any:
        """Another pipeline of diffusers', with its own way of taking LoRAs."""
        # peft warns of every second adapter.
        with quiet_libraries(), warnings.catch_warnings(action="ignore"):
            pipeline = getattr(diffusers, self._pipeline.format("")).from_pretrained(
                self._folder, dtype=torch.float32, local_files_only=True
            )
            pipeline.set_progress_bar_config(disable=True)
            names = [f"lora_{position}" for position in range(len(asked.loras))]
            for name, (location, _) in zip(names, asked.loras, strict=True):
                pipeline.load_lora_weights(location.parent, weight_name=location.name, adapter_name=name)
            pipeline.set_adapters(names, [weight for _, weight in asked.loras])
        return pipeline

    def theirs(
        self, asked: Asked, scheduler: ReferenceScheduler | None = None, *, strength: float | None = None
    ) -> Picture:
        """Without a scheduler, the checkpoint's own; without a strength, the one asked for."""
        pipeline = self._text_to_image if not asked.loras else self._with_loras(asked)
        if asked.image_prompts:
            pipeline = self._with_ip_adapters(asked)
        if asked.embeddings:
            pipeline = self._with_embeddings(asked)
        with quiet_libraries():
            if scheduler is None:
                scheduler = ReferenceScheduler(class_name=self._own_config["_class_name"])
            chosen = _reference_class(scheduler.class_name, self._own_config, asked)
            pipeline.scheduler = chosen.from_config(self._own_config, **scheduler.options)
            arguments: dict[str, Any] = {
                "prompt": asked.prompt,
                "negative_prompt": asked.negative_prompt or None,
                "num_inference_steps": asked.steps,
                "guidance_scale": asked.guidance_scale,
                "generator": torch.Generator("cpu").manual_seed(asked.seed),
                "clip_skip": asked.clip_skip or None,
                # The scheduler's own default, which the pipeline would replace by 0. Others have 0 or know no eta.
                "eta": 0.3 if scheduler.class_name == "TCDScheduler" else 0.0,
            }
            if asked.image_prompts:
                arguments["ip_adapter_image"] = [
                    [Image.fromarray(picture) for picture in prompt.pictures]
                    for prompt in asked.image_prompts
                ]
            if asked.picture is None:
                arguments.update(width=asked.width_px, height=asked.height_px)
            else:
                kind = "Img2Img" if asked.mask is None else "Inpaint"
                if not asked.controls:
                    # Named, since otherwise only an AutoencoderKL is taken over.
                    pipeline = getattr(diffusers, self._pipeline.format(kind)).from_pipe(
                        pipeline, vae=pipeline.vae
                    )
                    pipeline.set_progress_bar_config(disable=True)
                arguments.update(
                    image=Image.fromarray(asked.picture),
                    strength=asked.strength if strength is None else strength,
                )
            if asked.controls:
                pipeline = self._with_controls(pipeline, asked)
                arguments.update(_control_arguments(asked))
            if asked.mask is not None:
                arguments.update(
                    mask_image=Image.fromarray(asked.mask), width=asked.width_px, height=asked.height_px
                )
            return np.asarray(pipeline(**arguments).images[0])


def _control_arguments(asked: Asked) -> dict[str, Any]:
    """What the pipelines with ControlNets are told of them; one alone goes without lists."""
    maps = [Image.fromarray(control.map) for control in asked.controls]
    [mode] = {control.mode for control in asked.controls}
    assert mode != "prompt", "diffusers has nothing like it"
    told: dict[str, Any] = {
        "controlnet_conditioning_scale": [control.weight for control in asked.controls],
        "control_guidance_start": [control.start for control in asked.controls],
        "control_guidance_end": [control.end for control in asked.controls],
        "image" if asked.picture is None else "control_image": maps,
    }
    if len(maps) == 1:
        told = {name: value[0] for name, value in told.items()}
    return {**told, "guess_mode": mode == "controlnet"}


def _reference_class(name: str, own_config: Mapping[str, Any], asked: Asked) -> Any:
    """diffusers' class where it does what is asked, else ours, which tests/diffusion holds to the exact solution."""
    ours = scheduler_class(name, trained_for=own_config["_class_name"])
    if not issubclass(ours, PNDMFromAnyStep | LMSFromAnyStep):
        return ours
    if asked.picture is None or asked.strength == 1.0:
        return getattr(diffusers, name)
    begin = asked.steps - min(int(asked.steps * asked.strength), asked.steps)
    if not issubclass(ours, PNDMFromAnyStep):
        return ours

    class LaidOutAtOnce(PNDMFromAnyStep):
        """The pipelines cut the timesteps before they say where they begin."""

        def set_timesteps(self, *arguments: Any, **options: Any) -> None:
            super().set_timesteps(*arguments, **options)
            self.set_begin_index(begin)

    return LaidOutAtOnce


def worst_difference(ours: Picture, theirs: Picture) -> int:
    """In steps of 1/255, over all pixels and channels."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


def is_flat(picture: Picture) -> bool:
    """Whether a picture is so even that agreeing on it would mean nothing."""
    return float(picture.std()) < 15.0
