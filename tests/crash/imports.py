"""What an engine imports until its first picture is done: imported here by whoever forks engines."""

from underpaint.engine.threads import let_threads_sleep

# Before torch is imported. Nothing here may compute: threads do not survive a fork.
let_threads_sleep()

import diffusers  # noqa: E402
import torchsde  # noqa: E402
import transformers  # noqa: E402

import underpaint.engine.worker  # noqa: E402
from underpaint.engine import engine  # noqa: E402

NEEDED = (
    engine.Engine,
    torchsde.BrownianTree,
    transformers.CLIPTextModel,
    transformers.CLIPTokenizer,
    underpaint.engine.worker.run_worker,
    *(
        getattr(diffusers, name)
        for name in (
            "AutoencoderKL",
            "StableDiffusionPipeline",
            "UNet2DConditionModel",
            "DDIMScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSDEScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "HeunDiscreteScheduler",
        )
    ),
)
"""diffusers and transformers import a class only when it is named."""
