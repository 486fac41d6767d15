"""Every setting of Underpaint, in one table.

A setting can be given, in falling order of precedence, as a command line option, as an environment variable
(`UNDERPAINT_` and its name in capitals) or in a TOML file (`underpaint.toml` in the working directory, or the file that
`UNDERPAINT_CONFIG` names). The command line, `underpaint config show` and the documentation are all made from
this table, so a setting is described once, here.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

ENVIRONMENT_PREFIX = "UNDERPAINT_"
CONFIG_VARIABLE = "UNDERPAINT_CONFIG"
CONFIG_FILE = "underpaint.toml"

Origin = Literal["default", "file", "environment", "command line"]


class SettingsError(ValueError):
    """A setting has an unknown name or an unusable value. The message names the setting and where it came from."""


class Settings(BaseModel):
    """The values that a process runs with. Immutable: a change takes a restart."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="Address that the server listens on.")
    port: int = Field(
        8080, ge=0, le=65535, description="Port that the server listens on; 0 takes any free one."
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        description="URL under which clients reach the server, for the links to results; by default the one that "
        "each client used. One that is not of this machine asks for keys.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("underpaint", appauthor=False)),
        description="Folder for images, tasks, keys and the list of installed models.",
    )
    database_url: str | None = Field(
        None,
        pattern=r"^postgresql://\S+$",
        description="PostgreSQL database for tasks, results and keys, as postgresql://USER:PASSWORD@HOST/NAME; by "
        "default SQLite in the data folder.",
    )
    alias: dict[str, str] = Field(
        default_factory=dict,
        description="Model identifiers to answer with other models, as AIR=AIR; several are separated by commas.",
    )
    default_model: str = Field(
        "underpaint:1@2", description="Model of the command line and of the Python library."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where models run; auto takes CUDA, then Apple's MPS, then the CPU."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto",
        description="Precision; auto is float16 on a GPU and float32 on a CPU, where OpenVINO computes in bfloat16 if "
        "the processor does and the model bears it.",
    )
    cpu_offload: bool = Field(
        False,
        description="Whether text encoders, denoising model and VAE wait in main memory and are on the GPU only while "
        "they compute: for models that do not fit there as a whole. Slower.",
    )
    executor: Literal["auto", "eager", "openvino"] = Field(
        "auto",
        description="What runs the passes of Stable Diffusion and SDXL: PyTorch as it is (eager), or OpenVINO, which "
        "is about twice as fast on a CPU and is prepared while PyTorch serves. auto takes it on x86-64 where there is "
        "memory for it; openvino drops other models for it.",
    )
    compiled_bytes: int = Field(
        8 * 2**30,
        ge=0,
        description="Bytes of the data folder for what OpenVINO has made of models; the least recently used go first.",
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of the engine; by default one for each core."
    )
    models_bytes: int | None = Field(
        None,
        ge=0,
        description="Memory for the weights of models: beyond it the least recently used ones leave. One model is "
        "always loaded, however large. By default half of the device's memory.",
    )
    max_rows: int = Field(
        8,
        ge=2,
        description="Most rows in one forward pass; a job with guidance takes two, one without takes one.",
    )
    determinism: Literal["default", "strict"] = Field(
        "default",
        description="default: a request gives the same picture in any company, to within 1/255; strict: to the byte, "
        "at the price of passes that all have strict_rows rows.",
    )
    strict_rows: int = Field(4, ge=2, description="Rows of every forward pass under strict determinism.")
    encodings_bytes: int = Field(
        256 * 2**20, ge=0, description="Memory for encoded prompts and seed images that may be used again."
    )
    additions_bytes: int | None = Field(
        None,
        ge=0,
        description="Memory for LoRAs, embeddings, VAEs, IP-Adapters and image encoders that may be used again. By "
        "default a quarter of the device's memory. An image encoder that alone takes more stays until another comes; "
        "all of it goes before a model has to.",
    )
    preprocessor_networks: dict[Literal["depth", "segmentation", "person", "pose"], str] = Field(
        default_factory=dict,
        description="Networks that controlNetPreprocess looks with, as NAME=FOLDER or NAME=HUB_ID; several are "
        "separated by commas. `depth` is for depth and normalbae, `segmentation` for seg, `person` and `pose` are for "
        "openpose.",
    )
    queue_limit: int = Field(
        1000,
        ge=1,
        description="Most results that may wait or run at once; a task beyond it is refused with a 429.",
    )
    key_requests_per_s: float | None = Field(
        None,
        gt=0,
        description="Tasks that one key may send in a second, where the key has no limit of its own; asking for "
        "results and cancelling do not count. By default without limit.",
    )
    key_queued_tasks: int | None = Field(
        None,
        ge=1,
        description="Tasks of one key that may wait or run at once, where the key has no limit of its own. By default "
        "without limit.",
    )
    key_queued_pixels: int | None = Field(
        None,
        ge=1,
        description="Pixels of all results of one key that may wait or run at once, where the key has no limit of its "
        "own. By default without limit.",
    )
    engine_stall_s: float = Field(
        600, gt=0, description="Seconds without a sign of life after which a busy engine process is replaced."
    )
    drain_grace_s: float = Field(
        30,
        ge=0,
        description="Seconds that running tasks have to finish after the server was told to stop. How far the others "
        "are is written down then.",
    )
    checkpoint_interval_s: float = Field(
        5,
        ge=0,
        description="Seconds that a picture is worked on, at least, between writing down how far it is; after a crash "
        "or a restart it goes on from there. 0 is after every step.",
    )
    sync_timeout_s: float = Field(
        600,
        gt=0,
        description="Seconds that a synchronous task may take before its caller is told to poll for it.",
    )
    cancel_on_disconnect: bool = Field(
        False,
        description="Whether a synchronous task is cancelled when its caller's connection is lost. Off by default: the "
        "official clients connect again after a loss and ask for the task that they had sent.",
    )
    result_ttl_s: float = Field(
        7 * 86400,
        ge=60,
        description="Seconds for which results and finished tasks are kept, where a task has no ttl.",
    )
    upload_ttl_s: float = Field(
        30 * 86400, ge=60, description="Seconds for which an uploaded image is kept after its last use."
    )
    disk_budget_bytes: int | None = Field(
        None,
        ge=2**20,
        description="Bytes that stored images, and what is kept of unfinished ones, may fill; a task that could exceed "
        "them is refused. By default as many as the disk has.",
    )
    disk_reserve_bytes: int = Field(
        256 * 2**20,
        ge=0,
        description="Bytes of the data folder's disk that stay free; tasks are refused before.",
    )
    share_images: bool = Field(
        False,
        description="Whether tasks of one key may use the images of another by UUID; only its own key may delete one.",
    )
    sign_urls: bool = Field(
        False,
        description="Whether links to stored images are signed and lead to them for a time only. Off by default: then "
        "whoever knows a link can read the image for as long as it is kept.",
    )
    signed_url_ttl_s: float = Field(
        2 * 86400,
        ge=1,
        description="Seconds for which a signed link leads to its image; polling for a result gives a fresh one. "
        "Webhooks carry theirs for up to a day.",
    )
    max_connections: int = Field(
        2000,
        ge=1,
        description="Most connections at once. When there are as many, the one that has waited longest without a "
        "request makes room for the next.",
    )
    max_request_bytes: int = Field(
        64 * 2**20, ge=2**10, description="Largest request body or socket message."
    )
    max_image_bytes: int = Field(32 * 2**20, ge=2**10, description="Largest encoded image, given or fetched.")
    max_image_pixels: int = Field(
        50_000_000, ge=2**14, description="Most pixels in an image, given or fetched."
    )
    fetch_timeout_s: float = Field(
        20,
        gt=0,
        description="Seconds that fetching an image from a URL, or sending one message to a webhook, may take in all.",
    )
    fetch_allow_private: bool = Field(
        False,
        description="Whether images may be fetched from, and results sent to, loopback and private addresses.",
    )
    fetch_allowed_hosts: tuple[str, ...] = Field(
        (),
        description="If any are given, the only hosts from which images are fetched and to which results are sent.",
    )
    model_upload_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts from which modelUpload may fetch models (`*.example.com` for all below one, `*` for every "
        "public one), and the host of the hub (huggingface.co) for its repositories. Without any, nothing is fetched.",
    )
    model_upload_folders: tuple[Path, ...] = Field(
        (),
        description="Folders of this machine in which modelUpload may name files and folders of models, which stay "
        "where they are. Without any, and without model_upload_hosts, modelUpload is refused.",
    )
    max_model_bytes: int = Field(32 * 2**30, ge=2**10, description="Largest file that modelUpload fetches.")
    model_upload_timeout_s: float = Field(
        3600, gt=0, description="Seconds that fetching one model may take in all."
    )
    embed_parameters: bool = Field(
        True, description="Whether results carry prompt, seed and the other parameters in their metadata."
    )
    safety_model: str | None = Field(
        None,
        description="What looks at the results of tasks with checkNSFW (or safety): a folder or a hub id "
        "(`NAME/NAME@REVISION`) of an image classifier, such as Falconsai/nsfw_image_detection, or of the safety "
        "checker of Stable Diffusion, CompVis/stable-diffusion-safety-checker. Without any, such tasks are refused.",
    )
    safety_labels: tuple[str, ...] = Field(
        (),
        description="Labels of safety_model that count as unsafe. By default those that sound like it, such as nsfw.",
    )
    safety_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Probability of the unsafe labels together from which a result counts as unsafe. The safety "
        "checker of Stable Diffusion has thresholds of its own.",
    )
    skip_nsfw_check: bool = Field(
        False,
        description="Whether tasks with checkNSFW run although no safety_model is set, without NSFWContent in their "
        "results; otherwise they are refused.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log lines shown."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of the log lines.")

    @field_validator("data_dir")
    @classmethod
    def _home(cls, value: Path) -> Path:
        """Outside of a shell nobody else reads the `~`."""
        return value.expanduser()

    @field_validator("alias", "preprocessor_networks", mode="before")
    @classmethod
    def _pairs(cls, value: object, info: ValidationInfo) -> object:
        """Accept `["A=B", ...]` and `"A=B,C=D"` beside a table."""
        if isinstance(value, Mapping):
            return dict(value)
        pairs = {}
        for pair in _listed(value):
            name, separator, target = pair.partition("=")
            if not (name and separator and target):
                form = "AIR=AIR" if info.field_name == "alias" else "NAME=FOLDER"
                raise ValueError(f"{pair!r} is not of the form {form}")
            pairs[name.strip()] = target.strip()
        return pairs

    @field_validator("model_upload_folders")
    @classmethod
    def _absolute(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        """A server may be started from anywhere."""
        return tuple(path.expanduser().absolute() for path in value)

    @field_validator(
        "fetch_allowed_hosts", "model_upload_hosts", "model_upload_folders", "safety_labels", mode="before"
    )
    @classmethod
    def _list(cls, value: object) -> object:
        return tuple(_listed(value))


def _listed(value: object) -> list[str]:
    """The items of a list, or of a string with commas, without empty ones."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list, or text with commas")
    return [item for item in (str(item).strip() for item in value) if item]


@dataclass(frozen=True, kw_only=True)
class EffectiveSettings:
    """Settings together with where each value came from."""

    settings: Settings
    origins: Mapping[str, Origin]


def load_settings(
    overrides: Annotated[Mapping[str, Any], "from the command line; None counts as not given"] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    working_dir: Path | None = None,
) -> EffectiveSettings:
    """Merge command line, environment, file and defaults.

    Raises:
        SettingsError: a value does not fit its setting, an `UNDERPAINT_` variable or a key of the file is not the
            name of one, or the file cannot be read.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(Settings.model_fields, "default")
    layers: tuple[tuple[Origin, Mapping[str, Any]], ...] = (
        ("file", _file_layer(environ, working_dir or Path.cwd())),
        ("environment", _environment_layer(environ)),
        ("command line", {name: value for name, value in (overrides or {}).items() if value is not None}),
    )
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in Settings.model_fields:
                raise SettingsError(f"there is no setting {name!r} (from the {origin})")
            values[name] = value
            origins[name] = origin
    try:
        settings = Settings(**values)
    except ValidationError as failure:
        first = failure.errors()[0]
        name = str(first["loc"][0])
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"setting {name!r} (from the {origins[name]}): {reason}") from None
    return EffectiveSettings(settings=settings, origins=origins)


def _environment_layer(environ: Mapping[str, str]) -> dict[str, str]:
    """Empty variables count as not given: that is how container files leave one out."""
    return {
        variable.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for variable, value in environ.items()
        if variable.startswith(ENVIRONMENT_PREFIX) and variable != CONFIG_VARIABLE and value
    }


def _file_layer(environ: Mapping[str, str], working_dir: Path) -> dict[str, Any]:
    named = environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else working_dir / CONFIG_FILE
    if not named and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise SettingsError(f"the configuration file {path} cannot be read: {failure}") from None
