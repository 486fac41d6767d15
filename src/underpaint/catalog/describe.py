"""From what a person says about a model, and what its files say, to an entry of the list of models."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from underpaint.catalog.air import short_air
from underpaint.catalog.contents import (
    FAMILIES,
    Contents,
    acts_upon,
    contents_of,
    is_recognizable,
    same_family,
)
from underpaint.catalog.controlnets import inspect_controlnet, is_controlnet_folder
from underpaint.catalog.diffusers_folder import inspect_folder
from underpaint.catalog.embedded_entry import ALWAYS_THERE
from underpaint.catalog.entry import Category, ModelDefaults, ModelEntry, ModelFiles
from underpaint.catalog.errors import ModelRefused, UnknownModel
from underpaint.catalog.hub import REDUX
from underpaint.catalog.known import KNOWN, known_by_hub_id
from underpaint.catalog.safetensors_header import read_header
from underpaint.diffusion.ip_adapter_names import is_image_encoder

MAX_REPOSITORY_CHARACTERS = 96
_REPOSITORY = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

_USUAL_DEFAULTS = {
    "sdxl": ModelDefaults(width_px=1024, height_px=1024, steps=30, guidance_scale=5.0),
    "sd2x": ModelDefaults(width_px=768, height_px=768),
    "sd3": ModelDefaults(width_px=1024, height_px=1024, steps=28),
    "flux1d": ModelDefaults(width_px=1024, height_px=1024, steps=28, guidance_scale=3.5),
    "flux1s": ModelDefaults(width_px=1024, height_px=1024, steps=4, guidance_scale=0.0),
}
"""Of families, for models whose authors' recommendation is not in the table of known models."""

_OWN_DEFAULTS = {
    "fluxkontextdev": ModelDefaults(width_px=1024, height_px=1024, steps=28, guidance_scale=2.5),
    "sd1xlcm": ModelDefaults(steps=4, guidance_scale=1.0, scheduler="LCM"),
    "sdhyper": ModelDefaults(steps=8, guidance_scale=1.0, scheduler="DDIM"),
    "sdxlturbo": ModelDefaults(steps=4, guidance_scale=0.0, scheduler="Euler a"),
    "sdxllightning": ModelDefaults(
        width_px=1024, height_px=1024, steps=4, guidance_scale=0.0, scheduler="Euler"
    ),
    "sdxlhyper": ModelDefaults(width_px=1024, height_px=1024, steps=8, guidance_scale=0.0, scheduler="DDIM"),
    "sdxllcm": ModelDefaults(width_px=1024, height_px=1024, steps=8, guidance_scale=1.0, scheduler="LCM"),
}
"""Of architectures that are a family's in all but these, as the authors of each say."""


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """What is said about a model that is to be added; the rest comes from the known table or the files."""

    air: str
    source: str
    """A folder in the diffusers layout, a safetensors file, or a hub repository ("organization/name")."""
    revision: str | None = None
    """Of the hub repository."""
    config: str | None = None
    """Of a single file: a diffusers folder or hub id to take configuration and tokenizer from; for an IP-Adapter
    the folder of its image encoder."""
    name: str | None = None
    version: str | None = None
    architecture: str | None = None
    category: Category | None = None
    type: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelDefaults` by name; the others keep what the model's authors recommend."""
    tags: tuple[str, ...] = ()
    comment: str = ""
    private: bool = False
    license: str | None = None
    conditioning: str | None = None


def describe(new: NewModel) -> ModelEntry:
    """Check a model's files against what is said about it, and describe it. Nothing is downloaded or run.

    Raises:
        ModelRefused: the identifier is malformed or of what ships with the package, the source is none of the three
            forms, its files are incomplete or not safetensors, its architecture or category is not what was said, or
            cannot be told and was not said.
    """
    try:
        air = short_air(new.air)
    except UnknownModel as failure:
        raise ModelRefused(str(failure)) from None
    if air in ALWAYS_THERE:
        raise ModelRefused(f"{air} is part of Underpaint; to answer it with another model, use an alias")
    files, contents = _look(new)
    known = KNOWN.get(air)
    if known is None and files.form == "hub":
        known = known_by_hub_id(files.location)
    architecture = _agreed_architecture(new, known, contents)
    category = new.category or contents.category or (known.category if known else "checkpoint")
    if (
        files.form == "file"
        and contents.category is None
        and category == "checkpoint"
        and is_recognizable(architecture)
    ):
        raise ModelRefused(
            f"{new.source} is said to be a checkpoint of {architecture}, but has no such tensors"
        )
    if category == "ipadapter" and files.form != "file" and not _is_redux_repository(files, architecture):
        raise ModelRefused(
            f"{new.source} is to be an IP-Adapter, which is one safetensors file: get it and the image encoder "
            "beside it, and add the file"
        )
    if contents.category is not None and category != contents.category:
        raise ModelRefused(f"{new.source} is said to be a {category}, but holds a {contents.category}")
    kind = new.type or contents.type or (known.type if known else "base")
    if contents.type is not None and kind != contents.type:
        raise ModelRefused(
            f"{new.source} is said to be of type {kind}, but holds a model of type {contents.type}"
        )
    return ModelEntry(
        air=air,
        name=new.name or (known.name if known else _name_from(files)),
        version=new.version or (known.version if known else air.rpartition("@")[2]),
        architecture=architecture,
        category=category,
        type=kind,
        files=files,
        defaults=_defaults(new, known, architecture),
        tags=new.tags or (known.tags if known else ()),
        comment=new.comment or (known.comment if known else ""),
        private=new.private,
        conditioning=new.conditioning or (known.conditioning if known else None),
        hub_id=files.location if files.form == "hub" else (known.hub_id if known else None),
        license=new.license or (known.license if known else None),
        good_for=known.good_for if known else "",
    )


def _look(new: NewModel) -> tuple[ModelFiles, Contents]:
    path = Path(new.source).expanduser()
    try:
        path = path / REDUX if (path / REDUX).is_file() else path
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        is_folder = is_file = False
    if new.config is not None and not is_file:
        raise ModelRefused(
            "a configuration belongs to a single file; folders and hub repositories have their own"
        )
    if is_folder or is_file:
        if new.revision is not None:
            raise ModelRefused("a revision belongs to a hub repository, not to files on this machine")
        location = str(path.absolute())
        if is_folder and is_controlnet_folder(path):
            return ModelFiles(form="folder", location=location), inspect_controlnet(path)
        if is_folder:
            return ModelFiles(form="folder", location=location), inspect_folder(path)
        try:
            contents = contents_of(read_header(path).tensors)
        except ModelRefused as refusal:
            raise refusal if str(path) in str(refusal) else ModelRefused(f"{path}: {refusal}") from None
        if contents.category is None and (new.architecture is None or new.category is None):
            raise ModelRefused(
                f"{path} cannot be recognized by its tensors; say its architecture and category"
            )
        config = _image_encoder(new) if (new.category or contents.category) == "ipadapter" else _config(new)
        return ModelFiles(form="file", location=location, config=config), contents
    if not _REPOSITORY.fullmatch(new.source) or len(new.source) > MAX_REPOSITORY_CHARACTERS:
        raise ModelRefused(
            f"{new.source} is no folder or file here, and not a hub repository's id (organization/name)"
        )
    return ModelFiles(form="hub", location=new.source, revision=new.revision), Contents()


def _is_redux_repository(files: ModelFiles, architecture: str) -> bool:
    """Whether it is a repository of an adapter for FLUX: Redux has one to itself, with the image encoder that it needs.
    Those of other adapters hold several.
    """
    return files.form == "hub" and acts_upon(architecture, "flux1d")


def _image_encoder(new: NewModel) -> str | None:
    """The folder of the image encoder that was said for an IP-Adapter."""
    if new.config is None:
        return None
    folder = Path(new.config).expanduser()
    if not is_image_encoder(folder):
        raise ModelRefused(
            f"{new.config} is no folder of an image encoder: it has no config.json, or no safetensors weights"
        )
    return str(folder.absolute())


def _config(new: NewModel) -> str | None:
    """The source of a single file's configuration: a checked folder, or a hub id as it was given."""
    if new.config is None:
        return None
    folder = Path(new.config).expanduser()
    if not folder.exists():
        return new.config
    if not (folder / "model_index.json").is_file():
        raise ModelRefused(
            f"{new.config} is no configuration in the diffusers layout: it has no model_index.json"
        )
    return str(folder.absolute())


def _agreed_architecture(new: NewModel, known: ModelEntry | None, contents: Contents) -> str:
    """What was said outright counts before what is known of the identifier; neither may contradict the
    files.
    """
    said = new.architecture or (known.architecture if known else None)
    found = contents.architecture
    if said is None and found is None:
        raise ModelRefused(
            f"the architecture of {new.source} cannot be told; say it (sd1x, sd2x, sdxl, flux1d, ...)"
        )
    if said is None or found is None:
        return str(said or found)
    if not same_family(said, found):
        where = "is said to be" if new.architecture else f"is to be {new.air}, which is known to be"
        hint = "" if new.architecture else f". To answer {new.air} with another model, use an alias"
        raise ModelRefused(f"{new.source} {where} {said}, but its files are {found}{hint}")
    return said


def _defaults(new: NewModel, known: ModelEntry | None, architecture: str) -> ModelDefaults:
    family = next((family for family in FAMILIES if architecture in family), frozenset({architecture}))
    usual = next((_USUAL_DEFAULTS[name] for name in _USUAL_DEFAULTS if name in family), ModelDefaults())
    usual = _OWN_DEFAULTS.get(architecture, usual)
    same = (
        known is not None
        and same_family(known.architecture, architecture)
        and architecture not in _OWN_DEFAULTS
    )
    try:
        return replace(known.defaults if known and same else usual, **new.defaults)
    except (TypeError, ValueError) as failure:
        raise ModelRefused(str(failure)) from None


def _name_from(files: ModelFiles) -> str:
    name = Path(files.location).name
    return name.removesuffix(".safetensors") if files.form == "file" else name
