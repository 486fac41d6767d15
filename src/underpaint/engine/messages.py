"""What goes into the engine and what comes out of it: plain data, picklable, no tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from underpaint.diffusion.layer_weights import WeightType
from underpaint.preprocessors.networks import NetworkName

Picture = NDArray[np.uint8]
"""Height x width x 3, sRGB."""
Mask = NDArray[np.uint8]
"""Height x width: 255 is painted anew, 0 is kept, what lies between is blended in proportion."""


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """Files of a model on this machine."""

    architecture: str
    """Name of the catalogue, such as "sd1x"."""
    location: Path
    """A diffusers folder or a single .safetensors file."""
    config: str | None = None
    """For a single file: a diffusers folder or hub id that has the configuration and tokenizer."""
    name: str = field(default="", compare=False)
    """What people call it: its AIR identifier."""


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A model that acts upon another, or takes the place of a part of it."""

    air: str
    location: Path
    """A .safetensors file."""
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Embedding(Addition):
    """A textual inversion, whose vectors are multiplied by its weight."""

    triggers: tuple[str, ...]
    """What stands for it in prompts, at least one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePrompt:
    """Pictures that lead a job, and the IP-Adapter, or FLUX Redux, by which they do."""

    air: str
    location: Path
    """A .safetensors file."""
    encoder: Path
    """Folder of the image encoder that the adapter was trained with."""
    pictures: tuple[Picture, ...] = field(repr=False)
    """At least one, of any size."""
    weight: float = 1.0
    combination: Literal["concat", "add", "subtract", "average", "norm_average"] = "concat"
    """What becomes of several pictures."""
    scaling: Literal["kv", "only_v", "kv_penalty_c", "k_mean_v_penalty_c"] = "kv"
    """What the weight acts upon."""
    weight_type: WeightType = "normal"
    """How it is spread over the layers of the model."""
    weight_composition: float = 1.0
    """Weight of the layers of composition; only read with the weight types that name both style and composition."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """A map that a job's picture is laid out by, and the ControlNet that reads it."""

    air: str
    location: Path
    """A diffusers folder or a single .safetensors file."""
    map: Picture = field(repr=False)
    """As the ControlNet knows it, fitted to the size of the picture."""
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    """From which share of the steps that run to which it acts, in those that lie within."""
    mode: Literal["prompt", "controlnet", "balanced"] = "balanced"
    """What counts for more."""
    pools: bool = False
    """Whether it says the same everywhere, where its files do not say so: a ControlNet for shuffled pictures."""
    hides_masked: bool = False
    """Whether it is shown a blank where the job's mask paints: a ControlNet for inpainting, which has the picture for
    its map."""

    @property
    def network(self) -> tuple[Path, bool]:
        """What tells its ControlNet from others."""
        return self.location, self.pools


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk down the noise schedule: what may differ between the passes of a job."""

    prompt: str
    negative_prompt: str
    steps: int
    guidance_scale: float
    scheduler: str
    strength: float
    """Share of the steps that runs."""
    asked_strength: float | None = None
    """The strength that was asked for, where a curve leads from there to `strength`."""


@dataclass(frozen=True, kw_only=True)
class Refiner:
    """A second model, which takes a picture's last steps over from the first."""

    model: ModelReference
    start_step: int
    """Steps of the whole schedule before it, at least 1 and less than all."""


@dataclass(frozen=True, kw_only=True)
class DeepCache:
    """Ma et al., arXiv:2312.00858."""

    interval: int
    """One model evaluation in so many runs the whole UNet, at least 1."""
    branch: int
    """From which skip connection on layers are deep; 0 the outermost, and beyond the last one the last."""


@dataclass(frozen=True, kw_only=True)
class SafetyCheck:
    """How a finished picture is judged."""

    location: Path
    """Folder of the classifier."""
    unsafe_labels: tuple[str, ...] | None
    """Of the classifier; None for the safety checker of Stable Diffusion, which has none."""
    threshold: float = 0.5
    """Probability of the unsafe labels together from which a picture counts as unsafe."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JobRequest:
    """One picture to make. Everything is decided: no defaults are left to the engine."""

    job_id: str
    """Unique among the jobs that the engine knows."""
    owner: str
    """Whose job it is; jobs of different owners share the engine fairly."""
    model: ModelReference
    prompt: str
    negative_prompt: str
    width_px: int
    height_px: int
    steps: int
    guidance_scale: float
    """Classifier-free guidance acts above 1."""
    scheduler: str
    """A name of the API that the architecture knows."""
    seed: int
    strength: float = 1.0
    """Share of the steps that runs; only read together with `picture`."""
    asked_strength: float | None = None
    """The strength that was asked for, where a curve leads from there to `strength`."""
    picture: Picture | None = field(default=None, repr=False)
    """The seed picture, already fitted to `width_px` x `height_px`; None for text-to-image."""
    mask: Mask | None = field(default=None, repr=False)
    """Where `picture` is painted anew, of its size; None for everywhere."""
    mask_margin_px: int | None = None
    """What `mask` paints is worked on with so many pixels around it, enlarged to the whole size; None for the whole
    picture at once."""
    tile_px: int | None = None
    """The model works on overlapping square tiles of this side, a multiple of 64 and less than both sides of the
    picture; None for the picture as a whole."""
    color_fix: bool = False
    """Whether the picture gets the colors of `picture` back in the end; only with one, and without a mask."""
    clip_skip: int = 0
    prompt_weighting: Literal["compel", "sdEmbeds"] | None = None
    """Syntax of weights within both prompts; None for plain text."""
    vae: Addition | None = None
    """In place of the model's own."""
    loras: tuple[Addition, ...] = ()
    """Of the model's family. One named twice has the sum of both weights."""
    embeddings: tuple[Embedding, ...] = ()
    """For the prompts of all passes, and the refiner's. One named twice has the sum of both weights."""
    image_prompts: tuple[ImagePrompt, ...] = ()
    """What leads it besides its prompts; with FLUX in place of them."""
    reference_pictures: tuple[Picture, ...] = field(default=(), repr=False)
    """What the model looks at while it makes its own, each in one of the sizes of `reference_size`."""
    controls: tuple[Control, ...] = ()
    """What lays it out, in every pass; not in the refiner's steps."""
    further_passes: tuple[Pass, ...] = ()
    """What follows on the pass that the request's own values describe, each from the latents of the one before."""
    refiner: Refiner | None = None
    """Only with a single pass."""
    deep_cache: DeepCache | None = None
    """Whether most steps take the deep layers of a UNet from an earlier one; only for families with a UNet."""
    safety_check: SafetyCheck | None = None
    """By what the picture is judged; None for not at all."""
    previews: bool = False
    """Whether progress carries small pictures of what is coming."""
    checkpoint: str | None = None
    """Name under which its state is kept between steps, the same at every attempt; None for not at all."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All passes in order, at least one. Without `picture` the first begins with noise and runs every step."""
        first = Pass(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            scheduler=self.scheduler,
            strength=self.strength if self.picture is not None else 1.0,
            asked_strength=self.asked_strength,
        )
        return (first, *self.further_passes)


@dataclass(frozen=True, kw_only=True, eq=False)
class PreprocessRequest:
    """One guide image to make."""

    job_id: str
    """Unique among the jobs that the process of preprocessors knows."""
    owner: str
    kind: str
    """A preprocessor by the API's name."""
    picture: Picture = field(repr=False)
    """Of the size that the guide image will have."""
    low_threshold: int = 100
    high_threshold: int = 200
    """Of canny."""
    networks: Mapping[NetworkName, Path] = field(default_factory=dict)
    """Folders of those that it needs."""
    checkpoint: None = None
    """It has no steps between which its state could be kept."""

    @property
    def pixels(self) -> int:
        """Of the guide image."""
        return int(self.picture.shape[0] * self.picture.shape[1])


Stage = Literal["loading", "running"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A job has moved on."""

    job_id: str
    stage: Stage
    step: int
    """Steps behind it."""
    steps: int
    """Steps that will run in all."""
    preview: Picture | None = field(default=None, repr=False)
    """What the picture is becoming, one pixel for each latent; only of jobs that ask for previews."""


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """When jobs will be done, waiting ones included, by what forward passes have taken so far."""

    seconds_left: Mapping[str, float]
    """By job."""


Executor = Literal["eager", "openvino"]
Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """A job's picture."""

    job_id: str
    picture: Picture = field(repr=False)
    steps_run: int
    unsafe: bool | None = None
    """What the safety check said; None where none was asked for."""
    executor: Executor = "eager"
    """What ran its passes; the last one, where it is another model's, or there was a reason to change."""
    precision: Precision = "float32"
    """In which it computed."""


FailureCode = Literal["modelLoad", "outOfMemory", "crashed", "failed", "cancelled", "stopping"]


PartName = Literal["model", "refiner", "vae", "loras", "embeddings", "image_prompts", "controls"]
"""Fields of `JobRequest` that name models."""


@dataclass(frozen=True)
class RequestPart:
    """One of the models that a request names."""

    name: PartName
    index: int | None = None
    """Which of them, where the field holds several."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A job that ends without a picture."""

    job_id: str
    code: FailureCode
    message: str
    """Fit to show to the job's owner."""
    part: RequestPart | None = None
    """What of the request cannot be used; None where it is nothing of these, or not known."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The engine takes jobs."""

    device: str


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """How the engine is doing, and what it has done since it last said so."""

    passes: Mapping[int, int]
    """Forward passes by their rows."""
    pass_seconds: float
    """What they took together."""
    memory_bytes: int
    """Of its process, or on a GPU what it holds there."""
    models: tuple[str, ...]
    """Names of those in memory."""


Event = Progress | Estimates | Finished | Failed | Ready | Vitals


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Jobs that start together, so that what shares a request also shares its forward passes."""

    requests: tuple[JobRequest, ...]


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Jobs that nobody wants any more. Unknown ones are ignored."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Leave now."""


Command = Submit | Cancel | Stop


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How an engine runs."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    threads: int | None = None
    """CPU threads; None for one for each core."""
    models_bytes: int | None = None
    """Memory for the weights of models and ControlNets; None for half of what the device has. One model is always
    loaded."""
    cpu_offload: bool = False
    """Whether the networks of models wait in main memory, and come to the device for as long as they compute."""
    executor: Literal["auto", "eager", "openvino"] = "eager"
    """What runs the passes, where it can: PyTorch as it is, or OpenVINO on a CPU. "auto" takes OpenVINO on x86-64, and
    where there is memory for a second form of the weights beside everything else."""
    compiled: Path | None = None
    """Folder in which compiled forms of models are kept for the next start; None to make them anew for each engine."""
    compiled_bytes: int = 8 * 2**30
    """Budget of that folder."""
    max_rows: int = 8
    """Most rows in one forward pass."""
    strict_rows: int | None = None
    """If given, every pass has exactly so many rows, which makes pictures byte-identical in any company."""
    encodings_bytes: int = 256 * 2**20
    """Budget for encoded prompts and pictures that are kept for the next job."""
    checkpoints: Path | None = None
    """Folder in which the state of unfinished jobs is kept; None for not at all."""
    checkpoint_interval_s: float = 5.0
    """Seconds that a job runs between its checkpoints, at least."""
    additions_bytes: int | None = None
    """Budget for LoRAs, embeddings, autoencoders, IP-Adapters and image encoders that are kept for the next job; None
    for a quarter of what the device has."""
    preload: ModelReference | None = None
    """A model to load before the first job comes."""
