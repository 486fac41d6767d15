"""From an identifier to a model that can run, or to the reason why not."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Set

from underpaint.catalog import search as model_search
from underpaint.catalog.air import civitai_page, short_air
from underpaint.catalog.contents import acts_upon
from underpaint.catalog.embedded_entry import ALWAYS_THERE, EMBEDDED, REPLACED
from underpaint.catalog.entry import Category, ModelEntry
from underpaint.catalog.errors import (
    AliasError,
    ModelNotInstalled,
    ModelNotRunnable,
    UnknownModel,
)
from underpaint.catalog.hub import is_available_offline, is_offline
from underpaint.catalog.installed import InstalledModels
from underpaint.catalog.known import KNOWN
from underpaint.catalog.search import SearchQuery
from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.settings import Settings


class Catalog:
    """Every model that a request can name.

    An identifier is looked up among the aliases, then what ships with the package, then the installed ones; the table
    of known models only serves to tell how to get a model that is not here. Safe to share between threads.
    """

    def __init__(
        self,
        settings: Settings,
        runnable: Mapping[str, Set[str]],
        *,
        categories: Set[Category] = frozenset(
            {"checkpoint", "lora", "vae", "embeddings", "ipadapter", "controlnet"}
        ),
    ) -> None:
        """Read the aliases; the list of installed models is read when it is needed.

        Args:
            settings: `data_dir` and `alias` are used.
            runnable: architectures of checkpoints that the engine above can run, each with the types of them that
                it can: base, inpainting.
            categories: categories of models that it can use.

        Raises:
            AliasError: the aliases are malformed or lead in a circle.
        """
        self.installed = InstalledModels(settings.data_dir)
        self._runnable = runnable
        self._categories = categories
        self._targets = _alias_targets(settings.alias)

    def resolve(self, air: str, category: Category = "checkpoint", *, as_refiner: bool = False) -> ModelEntry:
        """The model that answers to an identifier.

        For an alias this is the entry of the model behind it, with that model's identifier, files and
        defaults, so that requests under either name share one loaded model.

        Raises:
            UnknownModel: the identifier is malformed, or nothing is known about it.
            ModelNotInstalled: its files are not here; the message tells how to install it.
            ModelNotRunnable: it is installed, but this version cannot run it, or it is of another category, or
                it is a refiner and none is asked for, or the other way round.
            ModelListUnreadable: the list of installed models is damaged.
        """
        target = self._targets.get(_key(air))
        if target is None:
            entry = self._find(short_air(air), category)
        else:
            entry = self._find(target, category, alias=air)
        if entry.category != category:
            raise ModelNotRunnable(
                f"model {entry.air} ({entry.name}) is a {entry.category}, not a {category}"
            )
        self._check_usable(entry)
        if as_refiner != (entry.type == "refiner"):
            raise ModelNotRunnable(
                f"model {entry.air} ({entry.name}) is no refiner"
                if as_refiner
                else f"model {entry.air} ({entry.name}) is a refiner; it goes into 'refiner', beside a model"
            )
        return entry

    def list(self) -> tuple[ModelEntry, ...]:
        """What ships with the package and all installed models, whether they can be used or not, then the aliases.

        An alias stands under its own identifier and says in its comment what answers to it.
        """
        return tuple(self._every())

    def search(self, query: SearchQuery) -> tuple[int, tuple[ModelEntry, ...]]:
        """The API's modelSearch over the models that can be used now: how many match, and one page of them.

        Known models that are not installed are left out, and so are installed ones that this version cannot
        run or whose files are gone: a client that picks one from the answer must not be refused for it.

        Raises:
            ModelListUnreadable: the list of installed models is damaged.
        """
        return model_search.search((entry for entry in self._every() if self.problem(entry) is None), query)

    def problem(self, entry: ModelEntry) -> str | None:
        """Why a listed model cannot be used now; None where it can."""
        try:
            self._check_usable(entry)
        except (ModelNotInstalled, ModelNotRunnable) as failure:
            return str(failure)
        return None

    def _every(self) -> Iterator[ModelEntry]:
        entries = {**ALWAYS_THERE, **self.installed.entries()}
        yield from (entry for air, entry in entries.items() if air not in self._targets)
        for alias, target in self._targets.items():
            if target in entries:
                comment = f"Alias: {target} answers to it. {entries[target].comment}".strip()
                yield dataclasses.replace(entries[target], air=alias, comment=comment)

    def _find(self, air: str, category: Category, *, alias: str | None = None) -> ModelEntry:
        if air in ALWAYS_THERE:
            return ALWAYS_THERE[air]
        entry = self.installed.entries().get(air)
        if entry is not None:
            return entry
        subject = f"model {air}" if alias is None else f"model {air}, which is to answer to {alias},"
        if air in REPLACED:
            raise UnknownModel(
                f"{subject} shipped with an earlier release; {REPLACED[air]} has taken its place. To answer "
                f"requests for the old with the new: --alias {air}={REPLACED[air]}"
            )
        known, page = KNOWN.get(air), civitai_page(air)
        if known is None and page is None:
            instead = f". To answer it with the embedded model: --alias {air}={EMBEDDED.air}"
            raise UnknownModel(
                f"{subject} is not installed, and nothing is known about it. {_how_to_install(air, known, page)}"
                + (instead if category == "checkpoint" else "")
            )
        described = f" ({known.name})" if known else ""
        raise ModelNotInstalled(f"{subject}{described} is not installed. {_how_to_install(air, known, page)}")

    def _check_usable(self, entry: ModelEntry) -> None:
        subject = f"model {entry.air} ({entry.name})"
        if entry.category not in self._categories:
            raise ModelNotRunnable(
                f"{subject} is installed, but this version cannot use a {entry.category} yet"
            )
        if entry.category == "checkpoint" and entry.architecture not in self._runnable:
            raise ModelNotRunnable(
                f"{subject} is installed, but this version cannot run {entry.architecture} yet; it runs "
                f"{', '.join(sorted(self._runnable))}"
            )
        if entry.category == "checkpoint" and entry.type not in self._runnable[entry.architecture]:
            raise ModelNotRunnable(
                f"{subject} is installed, but this version cannot run a model of type {entry.type} yet"
            )
        family = FAMILY_OF_ARCHITECTURE.get(entry.architecture)
        if entry.category == "controlnet" and not (family and family.controlnets):
            raise ModelNotRunnable(
                f"{subject} is installed, but this version cannot use a ControlNet for {entry.architecture} yet"
            )
        files = entry.files
        if files is None or (files.form != "hub" and not os.path.exists(files.location)):
            raise ModelNotInstalled(
                f"{subject} is on the list of installed models, but its files are missing"
            )
        if files.form == "hub" and is_offline() and not is_available_offline(files, entry.category):
            raise ModelNotInstalled(
                f"{subject} comes from the hub as {files.location}; it has not been downloaded completely, "
                "and this server is set to work offline"
            )


def _how_to_install(air: str, known: ModelEntry | None, page: str | None) -> str:
    if (
        known is not None
        and known.hub_id is not None
        and known.category == "ipadapter"
        and not acts_upon(known.architecture, "flux1d")
    ):
        wanted = known.comment or "its file"
        return (
            f"To install it, get {wanted}, and the image encoder beside it, from "
            f"https://huggingface.co/{known.hub_id}, then: underpaint models add {air} FILE"
        )
    if known is not None and known.hub_id is not None:
        source = f"https://huggingface.co/{known.hub_id}, license: {known.license or 'see there'}"
        return f"To install it: underpaint models add {air} {known.hub_id} (from {source})"
    if page is not None:
        return f"To install it, get its safetensors file from {page}, then: underpaint models add {air} FILE"
    return f"With files at hand: underpaint models add {air} FOLDER_OR_FILE"


def _key(air: str) -> str:
    """What aliases are compared by: the short form of an identifier, or any other text as it is."""
    try:
        return short_air(air)
    except UnknownModel:
        return air.strip()


def _alias_targets(aliases: Mapping[str, str]) -> dict[str, str]:
    """Each alias with the identifier at the end of its chain."""
    steps = {_key(alias): _key(target) for alias, target in aliases.items()}
    targets = {}
    for alias in steps:
        chain = [alias]
        while (following := steps.get(chain[-1])) is not None:
            if following in chain:
                raise AliasError(f"the aliases lead in a circle: {' -> '.join([*chain, following])}")
            chain.append(following)
        try:
            targets[alias] = short_air(chain[-1])
        except UnknownModel as failure:
            raise AliasError(f"the alias {alias} leads nowhere: {failure}") from None
    return targets
