"""Passes that ask for nothing, and so for no other colors either."""

from underpaint.engine.messages import JobRequest

WEAK_STRENGTH = 0.3
"""The greatest strength at which nothing moves so far that its old place could be seen in the colors given back."""


def asks_for_no_colors(request: JobRequest) -> bool:
    """Whether a job is several weak passes from a whole picture, in which no word and no other picture leads.

    Whatever colors wander in such passes, wander by themselves: see docs/decisions/023.
    """
    led = (
        request.loras,
        request.image_prompts,
        request.reference_pictures,
        request.controls,
    )
    return (
        request.picture is not None
        and request.mask is None
        and request.further_passes != ()
        and not any(led)
        and all(
            each.strength <= WEAK_STRENGTH and not (each.prompt.strip() or each.negative_prompt.strip())
            for each in request.passes
        )
    )
