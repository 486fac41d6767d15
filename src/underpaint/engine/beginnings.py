"""What jobs begin with: their models and encoded prompts and pictures, from the first step on or where they were."""

import logging
import time

from underpaint.diffusion.family import Family
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.engine.additions import LoadedAdditions
from underpaint.engine.checkpoints import Checkpoints
from underpaint.engine.encodings import ByteBudgetCache
from underpaint.engine.executors import compiled_precision
from underpaint.engine.job import Job
from underpaint.engine.messages import JobRequest
from underpaint.engine.models import LoadedModels
from underpaint.engine.refusals import refusing
from underpaint.engine.safety import KeptSafetyChecker
from underpaint.engine.trajectory import Trajectory

log = logging.getLogger(__name__)


class Beginnings:
    """Those of one engine's jobs."""

    def __init__(
        self,
        *,
        models: LoadedModels,
        safety: KeptSafetyChecker,
        encodings: ByteBudgetCache,
        additions: LoadedAdditions,
        checkpoints: Checkpoints,
    ) -> None:
        """Name where everything comes from.

        Args:
            models: in memory.
            safety: the checker, for jobs that want one.
            encodings: what was encoded before.
            additions: what acts upon models.
            checkpoints: where earlier processes left jobs.
        """
        self._models = models
        self._safety = safety
        self._encodings = encodings
        self._additions = additions
        self._checkpoints = checkpoints

    def encode(self, job: Job) -> None:
        """Encode a job's prompts and picture, for its first pass or its refiner's. If it fails, it can be done again.

        Raises:
            ModelLoadError: one of the models that it asks for cannot be used.
            PromptSyntaxError: a prompt breaks the rules of its syntax.
        """
        if job.trajectory is None and job.request.safety_check is not None:
            # One that cannot be loaded fails the job before its steps.
            self._safety.get(job.request.safety_check)
        with refusing("model" if job.trajectory is None else "refiner"):
            model = self._models.get(job.model)
        if job.trajectory is None:
            job.trajectory = self._begun(job.request, model)
            job.kept_s = time.monotonic()
        if job.trajectory.waits_for_refiner:
            with refusing("refiner"):
                model = self._models.get(job.model)
            job.trajectory.refine(model, self._encodings, compiled=compiled_precision(model))

    def _begun(self, request: JobRequest, model: Family) -> Trajectory:
        """A job at its beginning, or where an earlier process left it."""
        compiled = compiled_precision(model)
        state = self._checkpoints.read(request)
        if state is not None:
            try:
                if state["compiled"] in (None, compiled):
                    trajectory = Trajectory(
                        request, model, self._encodings, self._additions, compiled=state["compiled"]
                    )
                    trajectory.restore(state)
                    log.info("job %s goes on after %d steps", request.job_id, trajectory.steps_done)
                    return trajectory
                log.info("job %s begins anew: what ran it is not there", request.job_id)
            except Exception as failure:
                if is_out_of_memory(failure):
                    raise
                log.warning("job %s cannot go on from its checkpoint: %r", request.job_id, failure)
        return Trajectory(request, model, self._encodings, self._additions, compiled=compiled)
