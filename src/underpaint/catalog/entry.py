"""What the catalog says about one model."""

from dataclasses import dataclass, field
from typing import Literal

Form = Literal["folder", "file", "hub"]
Category = Literal["checkpoint", "lora", "vae", "controlnet", "embeddings", "ipadapter"]


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where the weights of a model are."""

    form: Form
    """A folder in the diffusers layout, one .safetensors file, or a repository on the Hugging Face hub."""
    location: str
    """Absolute path of the folder or file, or the repository's id ("organization/name")."""
    revision: str | None = None
    """Branch, tag or commit of the repository; None is its default branch. Only for the hub."""
    config: str | None = None
    """Of a single file, which lacks them: a diffusers folder or hub repository with the configuration and tokenizer of
    its architecture; None is the usual one for the architecture, from the hub. Of an IP-Adapter the folder of its image
    encoder; None for one beside the file."""


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What a request gets where it leaves a parameter out.

    Raises:
        ValueError: a value is outside of the range that a request may ask for.
    """

    width_px: int = 512
    height_px: int = 512
    steps: int = 20
    guidance_scale: float = 7.0
    """CFGScale; 0 and 1 mean no classifier-free guidance."""
    scheduler: str = "Default"
    """Name from the API's list; "Default" is the scheduler in the model's own configuration."""
    strength: float = 0.8

    def __post_init__(self) -> None:
        ranges = (
            ("width_px", self.width_px, 64, 4096),
            ("height_px", self.height_px, 64, 4096),
            ("steps", self.steps, 1, 100),
            ("guidance_scale", self.guidance_scale, 0, 50),
            ("strength", self.strength, 0, 1),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise ValueError(f"the default {name} is {value}, outside of {low} to {high}")
        if not self.scheduler:
            raise ValueError("the default scheduler has no name")


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One model: what it is, where its files are, and what a request to it defaults to."""

    air: str
    """Identifier in the API's short form, `source:id@version`."""
    name: str
    version: str
    architecture: str
    """The API's name of the family: sd1x, sdxl, flux1d, flux1s, sd3 and so on; sd2x is our own addition."""
    category: Category = "checkpoint"
    type: str = "base"
    """Of checkpoints: base, inpainting, refiner, or control, whose seed image is a map of edges or depth."""
    only_for: str | None = None
    """Of what acts upon checkpoints: identifier of the one that it fits; None where it fits its architecture."""
    files: ModelFiles | None = None
    """None for a model that is known but not installed."""
    defaults: ModelDefaults = field(default_factory=ModelDefaults)
    tags: tuple[str, ...] = ()
    comment: str = ""
    private: bool = False
    conditioning: str | None = None
    """Of ControlNets: canny, depth and so on."""
    hub_id: str | None = None
    """Repository on the Hugging Face hub from which it can be had."""
    license: str | None = None
    hero_image_url: str = ""
    """Of a picture of what it makes."""
    trigger_words: str = ""
    """What makes a prompt use it."""
    default_weight: float | None = None
    """Of LoRAs, -4 to 4; None is 1."""
    good_for: str = ""
    added_s: float = field(default=0.0, compare=False)
    """When it was put on the list, in seconds since 1970; 0 where nobody wrote that down."""
    updated_s: float = field(default=0.0, compare=False)
    """When its entry last changed, likewise."""
