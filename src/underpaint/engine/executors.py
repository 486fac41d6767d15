"""What runs the passes of a model: PyTorch as it is, or a compiled form, made ready while PyTorch already serves."""

import contextlib
import logging
import os
import platform
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from shutil import disk_usage
from typing import cast

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Compilable, Family
from underpaint.diffusion.openvino_unet import (
    PRECISIONS,
    NotCompiled,
    OpenVinoMissing,
    OpenVinoUnet,
    require_openvino,
)
from underpaint.engine.compiled_files import CompiledFiles
from underpaint.engine.compiler import Order
from underpaint.engine.memory import free_bytes, readable
from underpaint.engine.messages import EngineOptions, ModelReference, Precision
from underpaint.engine.weights import WeightsForm

log = logging.getLogger(__name__)

MEASURED_MACHINES = frozenset({"x86_64", "AMD64"})
"""On which OpenVINO was found to be faster."""
COPIES_TO_COMPILE = 3
"""Of the weights, that the compiler's process has in memory at its height: its own, the compiled ones, the file."""
LEAVE_LIMIT_S = 5.0


def compiled_precision(model: Family) -> Precision | None:
    """In which precision the model's compiled form computes; None while it has none."""
    # Asked for every job at every tick: `isinstance` of a protocol takes 9 us.
    compiled: OpenVinoUnet | None = getattr(model, "compiled", None)
    return None if compiled is None else precision_name(compiled.precision)


def precision_name(dtype: torch.dtype) -> Precision:
    """What messages call it."""
    return cast(Precision, str(dtype).removeprefix("torch."))


class Executors:
    """The choice of one engine."""

    def __init__(self, options: EngineOptions, *, device: torch.device, dtype: torch.dtype) -> None:
        """Choose, and say in one line why it is not what the options ask for.

        Args:
            options: `executor` is what is wanted; under strict determinism it serves from a model's first pass.
            device: of the models.
            dtype: of models that are not compiled.
        """
        self._at_once = options.strict_rows is not None
        # Under strict determinism what else is loaded must not decide it.
        self._makes_room = self._at_once or options.executor == "openvino"
        self._device = device
        self._dtype = dtype
        self.compiles = False
        self._threads: list[threading.Thread] = []
        self._given_up: weakref.WeakSet[Compilable] = weakref.WeakSet()
        if options.executor != "eager":
            refusal = _refusal(options, device, dtype)
            self.compiles = refusal is None
            if refusal is not None:
                level = logging.WARNING if options.executor == "openvino" else logging.INFO
                log.log(level, "passes run in PyTorch: %s", refusal)
        if not self.compiles:
            return
        halves = (
            torch.cpu.get_capabilities()
            if options.dtype == "auto"
            else {"avx512_bf16": dtype != torch.float32}
        )
        self._precision = (
            torch.bfloat16 if halves.get("avx512_bf16") or halves.get("amx_bf16") else torch.float32
        )
        processor = require_openvino().Core().get_property("CPU", "FULL_DEVICE_NAME")
        self._files = CompiledFiles(
            options.compiled, budget_bytes=options.compiled_bytes, processor=processor
        )
        self._one_by_one = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()

    def weights_of(self, architecture: str) -> WeightsForm:
        """How models of an architecture are held. OpenVINO converts from full precision, whatever it computes in."""
        if not self.compiles or not FAMILY_OF_ARCHITECTURE[architecture].has_unet:
            return WeightsForm(dtype=self._dtype, copies=1)
        return WeightsForm(
            dtype=torch.float32, copies=2 if self._makes_room else 1, may_grow=not self._makes_room
        )

    def take(self, model: Family, reference: ModelReference, size: int) -> None:
        """Give a model that was just loaded its compiled form: now, where there is a file of it, else when it is made.

        Args:
            model: without any yet.
            reference: to its files.
            size: bytes of its weights.
        """
        if not self.compiles or not isinstance(model, Compilable):
            return
        path = self._files.path(reference, precision_name(self._precision))
        if path.exists() and self._read(model, path, reference):
            return
        wanted: weakref.ref[Compilable] = weakref.ref(model)
        if self._at_once:
            self._make(wanted, reference, path, size)
            return
        arguments = (wanted, reference, path, size)
        thread = threading.Thread(target=self._make, args=arguments, name="compilation", daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def give_up(self, model: Family) -> None:
        """Have PyTorch run a model's passes from now on."""
        if isinstance(model, Compilable):
            self._given_up.add(model)
            model.compiled = None

    @property
    def is_preparing(self) -> bool:
        """Whether a compiled form is being made."""
        return any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """End what is being made."""
        if not self.compiles:
            return
        self._closed.set()
        process = self._process
        if process is not None:
            process.kill()
        for thread in self._threads:
            thread.join(LEAVE_LIMIT_S)

    def _read(self, model: Compilable, path: Path, reference: ModelReference) -> bool:
        started_s = time.monotonic()
        name = reference.location.name
        try:
            compiled = OpenVinoUnet.read(path)
        except NotCompiled as failure:
            log.warning("the compiled form of %s is made anew: %s", name, failure)
            with contextlib.suppress(OSError):
                path.unlink()
            return False
        model.compiled = compiled
        self._files.touch(path)
        seconds = time.monotonic() - started_s
        log.info(
            "%s runs in OpenVINO in %s, read in %.1f s", name, precision_name(compiled.precision), seconds
        )
        return True

    def _make(
        self, wanted: "weakref.ref[Compilable]", reference: ModelReference, path: Path, size: int
    ) -> None:
        name = reference.location.name
        with self._one_by_one:
            if self._closed.is_set() or wanted() is None:
                return
            if path.exists():
                # It was loaded twice while the first was at it.
                self._read_for(wanted, path, reference)
                return
            started_s = time.monotonic()
            try:
                failure = self._compile(reference, path, size)
            except OSError as refused:
                failure = str(refused)
            if self._closed.is_set():
                return
            if failure is not None:
                log.warning("%s goes on in PyTorch, OpenVINO cannot run it: %s", name, failure)
                return
            log.info("compiled %s in %.1f s", name, time.monotonic() - started_s)
            self._files.trim(path)
            self._read_for(wanted, path, reference)

    def _read_for(self, wanted: "weakref.ref[Compilable]", path: Path, reference: ModelReference) -> None:
        model = wanted()
        if model is not None and model not in self._given_up:
            self._read(model, path, reference)

    def _compile(self, reference: ModelReference, path: Path, size: int) -> str | None:
        """Write the compiled form of a model, or say why not."""
        needed, free = COPIES_TO_COMPILE * size, free_bytes(self._device)
        if free < needed:
            return f"making it ready takes about {readable(needed)} of memory, and {readable(free)} are free"
        path.parent.mkdir(parents=True, exist_ok=True)
        free = disk_usage(path.parent).free
        if free < 2 * size:
            return f"its compiled form takes {readable(size)}, and {readable(free)} are free in {path.parent}"
        order = Order(
            architecture=reference.architecture,
            location=str(reference.location.absolute()),
            config=reference.config,
            precision=PRECISIONS[self._precision],
            path=str(path.absolute()),
            threads=torch.get_num_threads(),
            waited_for=self._at_once,
        )
        # -P: not what lies in the working directory. Its standard input stays open for as long as this process lives.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "underpaint.engine.compiler", str(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        with process:
            self._process = process
            if self._closed.is_set():
                process.kill()
            assert process.stdout is not None
            said = process.stdout.read().decode(errors="replace").strip().splitlines()
            code = process.wait()
            self._process = None
        if code == 0:
            return None
        return said[-1] if code == 1 and said else f"its compiler ended with code {code}"


def _refusal(options: EngineOptions, device: torch.device, dtype: torch.dtype) -> str | None:
    if device.type != "cpu":
        return f"OpenVINO is for CPUs, and they run on {device}"
    if dtype not in PRECISIONS:
        return f"OpenVINO does not compute in {precision_name(dtype)}"
    if options.executor == "auto" and platform.machine() not in MEASURED_MACHINES:
        return "OpenVINO was measured on x86-64 alone; with executor = openvino it is used all the same"
    try:
        require_openvino()
    except OpenVinoMissing as missing:
        return str(missing)
    return None
