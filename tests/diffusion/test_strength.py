import math
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.diffusion.strength import steps_to_run

STEPS = st.integers(1, 1000)
STRENGTHS = st.floats(0.0, 1.0, allow_nan=False)


@pytest.mark.parametrize(("strength", "steps", "run"), [(0.5, 40, 20), (0.3, 50, 15)])
def test_the_guides_examples(strength: float, steps: int, run: int) -> None:
    assert steps_to_run(steps, strength) == run


@pytest.mark.parametrize(
    ("strength", "steps", "run"),
    [(0.29, 100, 29), (0.145, 100, 15), (0.285, 100, 29), (0.57, 100, 57), (0.284, 100, 28), (0.7, 10, 7)],
)
def test_decimals_round_half_up_as_written(strength: float, steps: int, run: int) -> None:
    assert steps_to_run(steps, strength) == run


@given(steps=STEPS, thousandths=st.integers(1, 1000))
def test_three_decimals_behave_as_on_paper(steps: int, thousandths: int) -> None:
    on_paper = int((Decimal(steps) * thousandths / 1000).quantize(Decimal(1), ROUND_HALF_UP))
    assert steps_to_run(steps, thousandths / 1000) == max(1, on_paper)


@given(steps=STEPS, strength=STRENGTHS)
def test_it_is_total_and_within_half_a_step(steps: int, strength: float) -> None:
    run = steps_to_run(steps, strength)
    assert 0 <= run <= steps
    assert (run == 0) == (strength == 0.0)
    assert run == 1 or abs(run - steps * strength) <= 0.5 + 1e-6


@given(steps=STEPS, one=STRENGTHS, other=STRENGTHS)
def test_more_strength_never_runs_fewer_steps(steps: int, one: float, other: float) -> None:
    weaker, stronger = sorted((one, other))
    assert steps_to_run(steps, weaker) <= steps_to_run(steps, stronger)


@given(steps=STEPS)
def test_the_ends(steps: int) -> None:
    assert steps_to_run(steps, 0.0) == 0
    assert steps_to_run(steps, math.nextafter(0.0, 1.0)) == 1
    assert steps_to_run(steps, 1.0) == steps


@pytest.mark.parametrize("strength", [-0.01, 1.01, math.nan, math.inf])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        steps_to_run(10, strength)


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="steps"):
        steps_to_run(0, 0.5)
