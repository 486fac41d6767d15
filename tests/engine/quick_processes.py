"""Engine processes that start at once: forked from one that has imported everything, which takes most of a start."""

import multiprocessing
import multiprocessing.forkserver
from multiprocessing.context import BaseContext

import psutil

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


def forked_processes() -> list[psutil.Process]:
    """Those of this test run that are alive."""
    server = psutil.Process(multiprocessing.forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
    return [child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE]
