"""What `strength` means: how many of the requested steps run.

Strength is a total and monotone function on [0, 1], so that no value of it crashes, does nothing by accident or depends
on how a float happens to be rounded.
"""

import math

_ROUNDING_SLACK = 1e-9
"""Steps. Keeps 100 x 0.285, which is 28.499999999999996 in binary floating point, on the side where decimals put it."""


def steps_to_run(steps: int, strength: float) -> int:
    """Number of denoising steps that image-to-image runs: the last ones of the schedule.

    `steps x strength`, rounded half up; 0 only for strength 0, which gives the seed image back. diffusers truncates
    instead, so that 0.29 x 100 gives 28 there and 29 here, and a small strength gives no step at all there.

    Args:
        steps: length of the whole schedule, at least 1.
        strength: 0 to 1, share of the schedule that runs.

    Returns:
        An integer from 0 to `steps`.

    Raises:
        ValueError: an argument is out of its range.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must lie between 0 and 1, not {strength}")
    if strength == 0.0:
        return 0
    return min(steps, max(1, math.floor(steps * strength + 0.5 + _ROUNDING_SLACK)))
