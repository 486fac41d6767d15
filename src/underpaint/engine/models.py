"""The models in memory: loaded when first needed, the least recently used ones dropped when memory is short."""

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Family, ModelLoadError
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.diffusion.placement import Turns, taking_turns
from underpaint.engine.memory import free_bytes, readable, release_memory, total_bytes
from underpaint.engine.messages import ModelReference
from underpaint.engine.weights import WeightsForm, controlnet_bytes, weights_bytes

log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")

DEFAULT_SHARE = 0.5
"""Of the device's memory, for the weights of models, where no budget is set. The rest is for what passes compute."""


class LoadedModels:
    """Models on one device, of so many bytes of weights in all."""

    def __init__(
        self,
        *,
        device: torch.device,
        turns: Turns | None = None,
        form_of: Callable[[str], WeightsForm],
        budget_bytes: int | None = None,
        compile: Callable[[Family, ModelReference, int], None] = lambda model, reference, size: None,
        give_up: Callable[[Family], None] = lambda _: None,
        on_drop: Callable[[ModelReference], None] = lambda _: None,
        on_shortage: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start without any.

        Args:
            device: where they go.
            turns: by which their networks come there, from main memory, which then counts; None for all that stay.
            form_of: how the weights of models of an architecture are held.
            budget_bytes: of all their weights; a model that alone takes more stays alone. None for half of what the
                device has.
            compile: called with each that comes and may have a second form, and the bytes of its weights.
            give_up: called with each that must do without one from now on.
            on_drop: called with each that goes.
            on_shortage: called before one has to go because nothing is free; says whether it has freed something.
        """
        self._device = device
        self._turns = turns
        self._memory = device if turns is None else torch.device("cpu")
        """Where weights that do not compute are."""
        self._form_of = form_of
        self._budget_bytes = (
            int(total_bytes(self._memory) * DEFAULT_SHARE) if budget_bytes is None else budget_bytes
        )
        self._compile = compile
        self._give_up = give_up
        self._on_drop = on_drop
        self._on_shortage = on_shortage
        self._models: OrderedDict[Hashable, Any] = OrderedDict()
        """Models by their references, and what works beside them by its files; the least recently used one first."""
        self._sizes: dict[Hashable, int] = {}
        self._at_work: set[Hashable] = set()
        """The model that was asked for last, and what works beside it: none of them goes for another."""
        self._set_aside = 0
        self._second_forms: dict[ModelReference, int] = {}
        """Bytes of those that may go without their model."""

    def __contains__(self, reference: ModelReference) -> bool:
        return reference in self._models

    def loaded(self, reference: ModelReference) -> Family | None:
        """The model if it is in memory. Does not count as use."""
        return self._models.get(reference)

    @property
    def moves(self) -> int:
        """How often a network has come to the device by turns."""
        return 0 if self._turns is None else self._turns.moves

    @property
    def names(self) -> tuple[str, ...]:
        """What those in memory are called, the least recently used one first."""
        return tuple(
            reference.name or reference.location.name
            for reference in self._models
            if isinstance(reference, ModelReference)
        )

    def get(self, reference: ModelReference) -> Family:
        """The model, loaded if it is not yet.

        Raises:
            ModelLoadError: its files cannot be used, or are more than there is memory for.
        """
        self._at_work = {reference}
        if reference in self._models:
            self._models.move_to_end(reference)
            model: Family = self._models[reference]
            return model
        form = self._form_of(reference.architecture)
        once = weights_bytes(reference.location, form.dtype, config=reference.config)
        size = once * form.copies
        if size > self._budget_bytes and form.copies > 1:
            log.warning(
                "%s runs in PyTorch: models_bytes is too little for a second form", reference.location.name
            )
            form, size = replace(form, copies=1, may_grow=False), once
        self._make_room(size, reference.location.name)
        started = time.monotonic()
        family = FAMILY_OF_ARCHITECTURE[reference.architecture].load_class()
        try:
            with taking_turns(self._turns):
                model = family.load(
                    reference.location, config=reference.config, device=self._device, dtype=form.dtype
                )
        except Exception as failure:
            if not is_out_of_memory(failure):
                raise
            raise _out_of_memory(reference.location, size) from failure
        log.info(
            "loaded %s in %.1f s, %s", reference.location.name, time.monotonic() - started, readable(size)
        )
        if form.copies == 1 and form.may_grow:
            if (
                sum(self._sizes.values()) + self._set_aside + 2 * once > self._budget_bytes
                or free_bytes(self._device) < once
            ):
                log.info("%s runs in PyTorch, for want of memory for a second form", reference.location.name)
            else:
                size, self._second_forms[reference] = 2 * once, once
        if size > once:
            self._compile(model, reference, once)
        self._models[reference] = model
        self._sizes[reference] = size
        return model

    def set_aside(self, size: int, name: str) -> None:
        """Keep so much of the budget for weights that are no checkpoint's; a negative size gives it back.

        Raises:
            ModelLoadError: there is not so much memory, without any model.
        """
        if size > 0:
            # No pass is going on.
            self._at_work = set()
            self._make_room(size, name)
        self._set_aside += size

    def beside(
        self, reference: ModelReference, key: Hashable, location: Path, load: Callable[[], Loaded]
    ) -> Loaded:
        """A network that works beside the model that `get` gave last, and is counted like a model; loaded if it is not
        yet. All models of one precision share it.

        Args:
            reference: of the model.
            key: what is loaded under, beside the precision.
            location: of its files.
            load: how.

        Raises:
            ModelLoadError: its files cannot be used, or are more than there is memory for beside the model.
        """
        form = self._form_of(reference.architecture)
        key = (key, form.dtype)
        self._at_work.add(key)
        if key not in self._models:
            size = controlnet_bytes(location, form.dtype)
            self._make_room(size, location.name)
            started = time.monotonic()
            try:
                self._models[key] = load()
            except Exception as failure:
                if not is_out_of_memory(failure):
                    raise
                raise _out_of_memory(location, size) from failure
            log.info("loaded %s in %.1f s, %s", location.name, time.monotonic() - started, readable(size))
            self._sizes[key] = size
        self._models.move_to_end(key)
        network: Loaded = self._models[key]
        return network

    def drop_idle(self, model: ModelReference) -> bool:
        """Drop the least recently used of those that are neither this model nor at work beside it, for want of memory;
        whether there was one.
        """
        if model not in self._at_work:
            self._at_work = {model}
        idle = self._droppable
        if idle:
            self._drop(idle[0])
        return bool(idle)

    def has_beside(self, reference: ModelReference, keys: Iterable[Hashable]) -> bool:
        """Whether all of the networks that `beside` loads under these keys are in memory."""
        dtype = self._form_of(reference.architecture).dtype
        return all((key, dtype) in self._models for key in keys)

    def _make_room(self, size: int, name: str) -> None:
        """Before loading: two large models at once may not fit where one does."""
        while sum(self._sizes.values()) + self._set_aside + size > self._budget_bytes:
            if not self._drop_second_form():
                if not self._droppable:
                    break
                self._drop(self._droppable[0])
        while (free := free_bytes(self._memory)) < size:
            if self._on_shortage():
                gc.collect()
                release_memory(self._device)
                continue
            if self._drop_second_form():
                continue
            if not self._droppable:
                raise ModelLoadError(
                    f"{name} needs about {readable(size)} of memory, and {readable(free)} are free"
                )
            self._drop(self._droppable[0])

    @property
    def _droppable(self) -> list[Hashable]:
        return [key for key in self._models if key not in self._at_work]

    def _drop_second_form(self) -> bool:
        """Of the least recently used model that has one; False where none has."""
        dropped = next(
            (key for key in self._models if isinstance(key, ModelReference) and key in self._second_forms),
            None,
        )
        if dropped is None:
            return False
        self._give_up(self._models[dropped])
        self._sizes[dropped] -= self._second_forms.pop(dropped)
        log.info("%s runs in PyTorch from now on, for want of memory", dropped.location.name)
        gc.collect()
        release_memory(self._device)
        return True

    def _drop(self, dropped: Hashable) -> None:
        # By its key only: a variable that held the model would keep its memory until after the next one is loaded.
        del self._models[dropped]
        del self._sizes[dropped]
        if isinstance(dropped, ModelReference):
            log.info("dropped %s, for want of memory", dropped.location.name)
            self._second_forms.pop(dropped, None)
            self._on_drop(dropped)
        else:
            log.info("dropped a ControlNet, for want of memory")
        gc.collect()
        release_memory(self._device)


def _out_of_memory(location: Path, size: int) -> ModelLoadError:
    return ModelLoadError(f"{location.name} needs about {readable(size)} of memory, which there is not")
