"""`underpaint models`."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from underpaint.cli.console import errors, output, print_rows
from underpaint.cli.options import with_settings
from underpaint.settings import EffectiveSettings

if TYPE_CHECKING:
    from underpaint.catalog import Catalog, ModelEntry

models = App(name="models", help="See, add and remove the models that requests can name.")

AsJson = Annotated[bool, Parameter("--json", negative=())]


@models.command(name="list")
@with_settings("data_dir", "alias")
def list_models(*, as_json: AsJson = False, effective: EffectiveSettings) -> None:
    """Print the models that are here: what ships with the package, the installed ones, and the aliases.

    Args:
        as_json: Print JSON.
    """
    catalog = _catalog(effective)
    entries = catalog.list()
    if as_json:
        output.out(json.dumps([_document(catalog, entry) for entry in entries], indent=2), highlight=False)
        return
    rows = [
        (
            entry.air,
            f"{entry.name} {entry.version}",
            entry.architecture,
            entry.category,
            "no" if catalog.problem(entry) else "yes",
        )
        for entry in entries
    ]
    print_rows(("model", "name", "architecture", "category", "usable"), rows)


@models.command
@with_settings("data_dir", "alias")
def show(air: str, /, *, as_json: AsJson = False, effective: EffectiveSettings) -> None:
    """Print what is known about one model, and how to install it where it is not here.

    Args:
        air: Its identifier, such as underpaint:1@2.
        as_json: Print JSON.
    """
    catalog = _catalog(effective)
    entry = _listed(catalog, air) or catalog.resolve(air)
    document = _document(catalog, entry)
    if as_json:
        output.out(json.dumps(document, indent=2), highlight=False)
        return
    defaults = document.pop("defaults")
    if entry.category != "checkpoint":
        # They and the type are said of checkpoints.
        defaults, document["type"] = {}, None
    facts = {**document, **{f"default {name}": value for name, value in defaults.items()}}
    for name, value in facts.items():
        if value not in (None, "", []):
            output.out(f"{name.replace('_', ' '):<18} {_shown(value)}", highlight=False)


@models.command
@with_settings("data_dir")
def add(
    air: str,
    source: str,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    architecture: str | None = None,
    category: Literal["checkpoint", "lora", "vae", "controlnet", "embeddings", "ipadapter"] | None = None,
    conditioning: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    width: int | None = None,
    height: int | None = None,
    steps: int | None = None,
    cfg_scale: float | None = None,
    scheduler: str | None = None,
    strength: float | None = None,
    tag: Annotated[list[str] | None, Parameter(negative=())] = None,
    comment: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
    effective: EffectiveSettings,
) -> None:
    """Put a model on the list. Its files stay where they are, and only safetensors are accepted.

    A hub repository is downloaded when the model is first used. What is left out comes from the table of well-known
    models, from the files themselves, or is what is usual for the architecture.

    Args:
        air: Identifier under which requests name it, such as civitai:25694@143906.
        source: A folder in the diffusers layout, a .safetensors file, or the id of a hub repository.
        name: Name shown to people.
        version: Version shown to people.
        architecture: sd1x, sd2x and so on; needed only where the files do not tell.
        category: Kind of model; needed only where the files do not tell.
        conditioning: Of a ControlNet: the kind of its maps, such as canny. One for "inpaint" is shown a blank where a
            mask paints, one for "shuffle" says the same everywhere.
        revision: Branch, tag or commit of the hub repository.
        config: Of a single file: a diffusers folder or hub repository to take configuration and tokenizer from;
            for an IP-Adapter the folder of its image encoder, if that is not beside it as image_encoder.
        width: Width in pixels that it works best at.
        height: Height in pixels that it works best at.
        steps: Steps of a request that names none.
        cfg_scale: Guidance scale of a request that names none.
        scheduler: Scheduler of a request that names none.
        strength: Strength that suits it.
        tag: Word by which a search finds it; can be given several times.
        comment: A note.
        force: Replace a model of this identifier.
    """
    from underpaint.catalog.describe import NewModel, describe

    defaults = {
        "width_px": width,
        "height_px": height,
        "steps": steps,
        "guidance_scale": cfg_scale,
        "scheduler": scheduler,
        "strength": strength,
    }
    entry = describe(
        NewModel(
            air=air,
            source=source,
            revision=revision,
            config=config,
            name=name,
            version=version,
            architecture=architecture,
            category=category,
            defaults={field: value for field, value in defaults.items() if value is not None},
            tags=tuple(tag or ()),
            comment=comment,
            conditioning=conditioning,
        )
    )
    catalog = _catalog(effective)
    catalog.installed.add(entry, replace=force)
    errors.print(f"added {entry.air}: {entry.name} {entry.version}, {entry.architecture}", markup=False)
    problem = catalog.problem(entry)
    if problem is not None:
        errors.print(f"note: {problem}", markup=False)


@models.command
@with_settings("data_dir", "alias")
def pull(
    air: str,
    source: str | None = None,
    /,
    *,
    revision: str | None = None,
    effective: EffectiveSettings,
) -> None:
    """Download a model from the hub now, so that no request has to wait for it; it goes on the list if it is not there.

    A connection that breaks is taken up where it broke, and what is whole of an interrupted download is not fetched
    again when the command is given again. `HF_HOME`, `HF_TOKEN` and
    `HF_HUB_OFFLINE` mean what they mean for the hub's own tools.

    Args:
        air: Identifier under which requests name it, such as runware:101@1.
        source: Id of the hub repository; not needed for a model that is listed or well known.
        revision: Branch, tag or commit of the repository.
    """
    from underpaint.catalog import ModelRefused
    from underpaint.catalog.describe import NewModel, describe
    from underpaint.catalog.download import local_files
    from underpaint.catalog.known import KNOWN

    catalog = _catalog(effective)
    listed = _listed(catalog, air)
    if (
        listed is not None
        and source is not None
        and (listed.files is None or listed.files.location != source)
    ):
        raise ModelRefused(f"{air} is on the list already, with other files; remove it first")
    entry = listed
    if entry is None:
        known = KNOWN.get(air)
        source = source or (known.hub_id if known else None)
        if source is None:
            raise ModelRefused(
                f"nothing is known about {air}; say from which repository: models pull {air} ID"
            )
        entry = describe(NewModel(air=air, source=source, revision=revision))
        if entry.files is None or entry.files.form != "hub":
            raise ModelRefused(f"{source} is on this machine already; put it on the list with: models add")
    folder = local_files(entry)
    if listed is None:
        # Only now: what could not be fetched is not on the list.
        catalog.installed.add(entry, replace=False)
    errors.print(f"{entry.air} ({entry.name}) is here: {folder}", markup=False)
    problem = catalog.problem(entry)
    if problem is not None:
        errors.print(f"note: {problem}", markup=False)


@models.command
@with_settings("data_dir")
def remove(air: str, /, *, effective: EffectiveSettings) -> None:
    """Take a model off the list. Its files stay where they are.

    Args:
        air: Its identifier.
    """
    from underpaint.catalog.air import short_air

    entry = _catalog(effective).installed.remove(short_air(air))
    errors.print(f"removed {entry.air}", markup=False)


def _catalog(effective: EffectiveSettings) -> "Catalog":
    from underpaint.catalog import Catalog
    from underpaint.studio.requests import RUNNABLE_ARCHITECTURES

    return Catalog(effective.settings, runnable=RUNNABLE_ARCHITECTURES)


def _listed(catalog: "Catalog", air: str) -> "ModelEntry | None":
    """The model under its own identifier, so that one that is listed but cannot be used can be looked at too."""
    return next((entry for entry in catalog.list() if entry.air == air), None)


def _document(catalog: "Catalog", entry: "ModelEntry") -> dict[str, Any]:
    files = entry.files
    return {
        "air": entry.air,
        "name": entry.name,
        "version": entry.version,
        "architecture": entry.architecture,
        "category": entry.category,
        "type": entry.type,
        "conditioning": entry.conditioning,
        "only_for": entry.only_for,
        "problem": catalog.problem(entry),
        "form": files.form if files else None,
        "location": files.location if files else None,
        "revision": files.revision if files else None,
        "config": files.config if files else None,
        "license": entry.license,
        "tags": list(entry.tags),
        "comment": entry.comment,
        "good_for": entry.good_for,
        "defaults": {
            "width": entry.defaults.width_px,
            "height": entry.defaults.height_px,
            "steps": entry.defaults.steps,
            "CFGScale": entry.defaults.guidance_scale,
            "scheduler": entry.defaults.scheduler,
            "strength": entry.defaults.strength,
        },
    }


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
