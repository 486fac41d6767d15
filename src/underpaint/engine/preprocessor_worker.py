"""The preprocessors' own process: requests come in through a pipe, one after the other, outcomes go out."""

import contextlib
import logging
import os
import signal
from multiprocessing.connection import Connection

from underpaint.engine.messages import Failed, Finished, PreprocessRequest
from underpaint.preprocessors.networks import Networks, NetworkUnusable

log = logging.getLogger(__name__)

NICENESS = 5
"""Forward passes come first where both want the processor."""


def run_preprocessors(connection: Connection, threads: int | None, log_level: int) -> None:
    """Serve requests until the parent has closed its end of the pipe."""
    # When to leave is the parent's to say, as for the engine.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=log_level, format="%(levelname)s preprocessors: %(message)s")
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(EOFError, OSError):
        _serve(connection, threads)


def _serve(connection: Connection, threads: int | None) -> None:
    # The parent process has no use for it.
    import cv2

    if threads is not None:
        cv2.setNumThreads(threads)
    networks = Networks()
    while True:
        request: PreprocessRequest = connection.recv()
        if request.networks and threads is not None:
            import torch

            torch.set_num_threads(threads)
        connection.send(_outcome(request, networks))


def _outcome(request: PreprocessRequest, networks: Networks) -> Finished | Failed:
    from underpaint.preprocessors.kinds import guide_image

    try:
        made = guide_image(
            request.kind,
            request.picture,
            low=request.low_threshold,
            high=request.high_threshold,
            folders=request.networks,
            networks=networks,
        )
    except NetworkUnusable as failure:
        return Failed(job_id=request.job_id, code="modelLoad", message=str(failure))
    except MemoryError:
        return Failed(
            job_id=request.job_id,
            code="outOfMemory",
            message="there is not enough memory for a guide image of this size",
        )
    except Exception as failure:
        log.exception("guide image %s failed", request.job_id)
        return Failed(
            job_id=request.job_id, code="failed", message=f"the guide image could not be made: {failure}"
        )
    return Finished(job_id=request.job_id, picture=made, steps_run=0)
