"""What a job's owner is told of the exception that ended it."""

import logging

from underpaint.diffusion.family import ModelLoadError
from underpaint.diffusion.out_of_memory import is_out_of_memory
from underpaint.diffusion.prompt_weighting import PromptSyntaxError
from underpaint.engine.messages import Failed
from underpaint.engine.passes import TooLarge
from underpaint.engine.refusals import PartRefused

log = logging.getLogger(__name__)


def outcome_of(job_id: str, failure: Exception) -> Failed:
    """The outcome of a job that an exception ended. What nobody expected goes to the log, with its traceback."""
    if isinstance(failure, ModelLoadError):
        part = failure.part if isinstance(failure, PartRefused) else None
        return Failed(job_id=job_id, code="modelLoad", message=str(failure), part=part)
    if isinstance(failure, PromptSyntaxError):
        return Failed(job_id=job_id, code="failed", message=str(failure))
    if isinstance(failure, TooLarge):
        return Failed(job_id=job_id, code="outOfMemory", message=str(failure))
    if is_out_of_memory(failure):
        message = "there is not enough memory for a picture of this size"
        return Failed(job_id=job_id, code="outOfMemory", message=message)
    log.error("job %s failed", job_id, exc_info=failure)
    return Failed(job_id=job_id, code="failed", message=f"the engine could not make this picture: {failure}")
