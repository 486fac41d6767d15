"""How textual inversion embeddings are named, in their files and in prompts. Importing this loads no torch."""

import re
from collections.abc import Iterable, Sequence

_ENCODER_NAMES = ("emb_params", "clip_l", "clip_g")
"""Tensors that say for which encoder they are, and not how the embedding is called."""


def token_of(names: Iterable[str]) -> str | None:
    """The word that a file has its vectors for, as diffusers writes it; None where it does not say."""
    names = list(names)
    return names[0] if len(names) == 1 and names[0] not in _ENCODER_NAMES else None


def triggers_pattern(triggers: Sequence[str]) -> re.Pattern[str]:
    """Finds triggers in a prompt, in any case and not within longer words; of several at one place the longest.

    What is found is the last group, whose name is "trigger" and the position among `triggers`.
    """
    longest_first = sorted(enumerate(triggers), key=lambda numbered: -len(numbered[1]))
    alternatives = (
        f"(?P<trigger{number}>{_alone(trigger)}{re.escape(trigger)}{_alone(trigger, after=True)})"
        for number, trigger in longest_first
    )
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _alone(trigger: str, *, after: bool = False) -> str:
    """That no letter is beside a trigger which itself begins, or ends, with one: `<cat-toy>` can stand anywhere."""
    if not re.match(r"\w", trigger[-1] if after else trigger[0]):
        return ""
    return r"(?!\w)" if after else r"(?<!\w)"


def is_named(prompt: str, triggers: Sequence[str]) -> bool:
    """Whether a prompt has one of them."""
    return triggers_pattern(triggers).search(prompt) is not None


def times_named(prompt: str, triggers: Sequence[str]) -> int:
    """How often a prompt has any of them."""
    return sum(1 for _ in triggers_pattern(triggers).finditer(prompt))
