"""Engine processes that start at once: forked from one that has imported everything, which takes most of a start."""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING
from unittest import mock

import psutil

from underpaint.engine.messages import EngineOptions
from underpaint.engine.worker import run_worker

if TYPE_CHECKING:
    from torch import Tensor

    from underpaint.diffusion.family import Row

PRELOADED = (
    "diffusers.loaders.single_file_utils",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.unets.unet_2d_condition",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.clip.modeling_clip",
    "underpaint.diffusion.scheduler_classes",
    "underpaint.diffusion.stable_diffusion",
    "underpaint.engine.engine",
)


def quick_processes() -> BaseContext:
    """In place of `underpaint.engine.process.PROCESSES`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


DEADLY = 6.66
"""The guidance scale of a job whose passes kill the process."""
LOSING = 6.67
"""The guidance scale of a job after whose passes the device cannot be used by the process."""


def run_mortal_worker(connection: Connection, options: EngineOptions, log_level: int) -> None:
    """In place of `underpaint.engine.process.run_worker`."""
    from underpaint.diffusion.stable_diffusion import StableDiffusion

    lost: list[float] = []
    mock.patch("underpaint.engine.engine.device_is_lost", side_effect=lambda _: bool(lost)).start()
    predict = StableDiffusion.predict

    def predicting(model: StableDiffusion, rows: "Sequence[Row]") -> "Tensor":
        if any(row.guidance_scale == DEADLY for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        lost.extend(row.guidance_scale for row in rows if row.guidance_scale == LOSING)
        if lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return predict(model, rows)

    StableDiffusion.predict = predicting  # type: ignore[method-assign, assignment]
    run_worker(connection, options, log_level)


def forked_processes() -> list[psutil.Process]:
    """Those of this test run that are alive."""
    server = psutil.Process(multiprocessing.forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
    return [child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE]
