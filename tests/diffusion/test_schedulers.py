import subprocess
import sys

import pytest

from underpaint.diffusion.schedulers import STABLE_DIFFUSION_SCHEDULERS
from underpaint.wire.schedulers import SCHEDULER_NAMES

NOT_FOR_STABLE_DIFFUSION = {
    "DPMSolverMultistepInverse",
    "FlowMatchEulerDiscreteScheduler",
}


def test_every_name_of_the_api_is_mapped_or_known_not_to_be() -> None:
    assert set(STABLE_DIFFUSION_SCHEDULERS) == set(SCHEDULER_NAMES) - NOT_FOR_STABLE_DIFFUSION


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("Euler", "EulerDiscreteScheduler"),
        ("Euler a", "EulerAncestralDiscreteScheduler"),
        ("DDIM", "DDIMScheduler"),
        ("Heun", "HeunDiscreteScheduler"),
        ("LMS", "LMSDiscreteScheduler"),
        ("LCM", "LCMScheduler"),
        ("UniPC", "UniPCMultistepScheduler"),
    ],
)
def test_names_of_one_sampler_mean_the_same(name: str, alias: str) -> None:
    assert STABLE_DIFFUSION_SCHEDULERS[name] == STABLE_DIFFUSION_SCHEDULERS[alias]


def test_families_and_their_names_can_be_read_without_loading_torch() -> None:
    program = "import sys, underpaint.diffusion.families; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
