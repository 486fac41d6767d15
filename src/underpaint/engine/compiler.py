"""Makes the compiled form of a model, in a process of its own: the engine's would be slowed by it.

python -m underpaint.engine.compiler ORDER, a JSON object of the fields of `Order`. It leaves when its standard input
ends.
"""

import json
import logging
import os
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from underpaint.diffusion.families import FAMILY_OF_ARCHITECTURE
from underpaint.diffusion.family import Compilable
from underpaint.diffusion.openvino_unet import PRECISIONS

NICENESS = 10
"""Passes come first."""
CLOSE_ENOUGH = {torch.float32: 1e-3, torch.bfloat16: 0.02}
"""Distance from the exact prediction up to which a form is used. At 0.006, pictures of the embedded model differ by
0.4/255 in the mean (docs/decisions/015)."""
LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to compile."""

    architecture: str
    location: str
    config: str | None
    precision: str
    """As OpenVINO calls it: bf16 falls back to f32 where it is too far from the exact prediction."""
    path: str
    """Of the file to write."""
    threads: int
    waited_for: bool
    """Whether passes wait for it."""

    def __str__(self) -> str:
        return json.dumps(asdict(self))


class TooFar(RuntimeError):
    """The compiled form predicts something else than PyTorch."""


def carry_out(order: Order) -> None:
    """Compile, compare, and write.

    Raises:
        TooFar: see there.
        ModelLoadError, RuntimeError, OSError: what loading, compiling and writing raise.
    """
    torch.set_num_threads(order.threads)
    family = FAMILY_OF_ARCHITECTURE[order.architecture].load_class()
    device = torch.device("cpu")
    model = family.load(Path(order.location), config=order.config, device=device, dtype=torch.float32)
    assert isinstance(model, Compilable), "only such models are compiled"
    wanted = next(dtype for dtype, name in PRECISIONS.items() if name == order.precision)
    for precision in dict.fromkeys((wanted, torch.float32)):
        compiled = model.compile(precision)
        distance = model.distance(compiled)
        # Not a number is too far, too.
        if distance <= CLOSE_ENOUGH[precision]:
            compiled.write(Path(order.path))
            return
    raise TooFar(f"its prediction is off by {distance:.1%}")


def main() -> None:
    """Carry out the order of the command line; the last line of standard output says why it could not be."""
    order = Order(**json.loads(sys.argv[1]))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if not order.waited_for and hasattr(os, "nice"):
        os.nice(NICENESS)
    logging.basicConfig(level=logging.ERROR)
    try:
        carry_out(order)
        code = 0
    except Exception as failure:
        reason = " ".join(str(failure).split())[:LONGEST_REASON]
        sys.stdout.write(f"\n{reason or type(failure).__name__}\n")
        code = 1
    sys.stdout.flush()
    # At once: the thread at standard input would be waited for otherwise, in the midst of a read.
    os._exit(code)


def _leave_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
