"""Where the networks of a model are: on the device for good, or by turns, where together they would not fit.

Networks that take turns wait in main memory. Whatever computes with one brings it first, which sends those back that
are on the device meanwhile, whichever model they belong to. LoRAs, adapters and ControlNets stay on the device.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_MAIN_MEMORY = torch.device("cpu")


class Turns:
    """The networks that share one device by turns."""

    def __init__(self, device: torch.device) -> None:
        """Begin with an empty device."""
        self.device = device
        self._there: weakref.WeakSet[Any] = weakref.WeakSet()
        self.moves = 0
        """How often a network came."""

    def admit(self, network: Any) -> Any:
        """A network of torch's that will wait in main memory from now on."""
        for part in network.modules():
            _TURNS_OF[part] = self
        return network.to(_MAIN_MEMORY)

    def bring(self, *networks: Any) -> None:
        """Have these on the device, and no others."""
        for other in [each for each in self._there if all(each is not wanted for wanted in networks)]:
            other.to(_MAIN_MEMORY)
            self._there.discard(other)
        for network in networks:
            if network not in self._there:
                try:
                    network.to(self.device)
                except BaseException:
                    # For want of memory, most likely: what of it has come would stay, and nobody would know.
                    network.to(_MAIN_MEMORY)
                    raise
                self._there.add(network)
                self.moves += 1

    def is_there(self, network: Any) -> bool:
        """Whether it is on the device at present."""
        return network in self._there


_TURNS_OF: "weakref.WeakKeyDictionary[Any, Turns]" = weakref.WeakKeyDictionary()
_LOADING: ContextVar[Turns | None] = ContextVar("turns of the model that is being loaded", default=None)


@contextmanager
def taking_turns(turns: Turns | None) -> Iterator[None]:
    """A context in which networks that are placed take turns; with None they are placed for good."""
    token = _LOADING.set(turns)
    try:
        yield
    finally:
        _LOADING.reset(token)


def placed(network: Any, device: torch.device) -> Any:
    """A network on its device, or waiting for its turn there."""
    turns = _LOADING.get()
    return network.to(device) if turns is None else turns.admit(network)


def turns_of(network: Any) -> Turns | None:
    """Those that a network takes; None for one that has its place for good."""
    return _TURNS_OF.get(network)


def device_of(layer: Any) -> torch.device:
    """Where a layer computes, wherever it is at present; what is added to it belongs there."""
    turns = _TURNS_OF.get(layer)
    device: torch.device = layer.weight.device if turns is None else turns.device
    return device


def bring(*networks: Any) -> None:
    """Have networks of one model on their device, to compute with them."""
    waiting = [network for network in networks if network in _TURNS_OF]
    if waiting:
        _TURNS_OF[waiting[0]].bring(*waiting)
