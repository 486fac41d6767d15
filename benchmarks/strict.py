"""Random mixes in strict mode: every picture compared byte by byte with that of the same request alone.

python -m benchmarks.strict [--mixes 1000]

The checkpoint is small and has random weights, which lets the smallest difference through to the picture; `--model`
takes a real one.
"""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.sides import EMBEDDED_MODEL, Asked, Ours, photo, report
from tests.checkpoints import write_checkpoint
from underpaint.engine.messages import Picture

SCHEDULERS = ("DDIM", "Euler a", "DPM++ 2M Karras", "UniPC", "Heun", "DPM++ 2M SDE", "LCM", "Default")
PROGRESS_INTERVAL_S = 20.0


def requests_of(count: int, sizes_px: list[int]) -> list[Asked]:
    """Requests of every kind."""
    dice = random.Random(0)
    asked = []
    for number in range(count):
        size_px = dice.choice(sizes_px)
        asked.append(
            Asked(
                # Some prompts are longer than the text encoder's window, and so cannot share passes with the others.
                prompt=f"number {number}, " + "a red house by the sea, " * dice.choice((1, 1, 2, 30)),
                negative_prompt=dice.choice(("", "people, fog")),
                size_px=size_px,
                steps=dice.randint(2, 8),
                strength=dice.uniform(0.2, 1.0),
                guidance_scale=dice.choice((1.0, 4.0, 7.5)),
                scheduler=dice.choice(SCHEDULERS),
                seed=number,
                picture=photo(size_px, number),
            )
        )
    return asked


def run_mix(ours: Ours, mix: list[Asked], dice: random.Random) -> dict[int, Picture]:
    """Pictures by place in the mix. Jobs come in one after the other or together; some neighbours are cancelled."""
    places: dict[str, int] = {}
    to_come = list(enumerate(mix))
    doomed: list[str] = []
    while to_come or ours.engine.busy:
        while to_come and (not ours.engine.busy or dice.random() < 0.5):
            place, asked = to_come.pop()
            [job_id] = ours.submit(asked, owner=f"owner {dice.randint(1, 3)}")
            places[job_id] = place
            if dice.random() < 0.2:
                doomed += ours.submit(replace(asked, seed=asked.seed + 10**6))
        ours.engine.tick()
        if doomed and dice.random() < 0.5:
            ours.engine.cancel([doomed.pop()])
    for job_id in [job_id for job_id in ours.finished if job_id not in places]:
        del ours.finished[job_id]
    return {place: ours.finished.pop(job_id).picture for job_id, place in places.items()}


def compare(wanted: argparse.Namespace, model: Path, sizes_px: list[int], compiled: Path) -> None:
    """Run the mixes and report. What OpenVINO makes of the model goes into the folder `compiled`."""
    requests = requests_of(wanted.requests, sizes_px)
    options = {
        "threads": wanted.threads,
        "executor": wanted.executor,
        "compiled": compiled,
        "strict_rows": wanted.strict_rows,
        "max_rows": wanted.strict_rows,
    }
    # Another engine, so that nothing of the mixes reaches it.
    solitary = Ours(model, **options)
    alone = [solitary.paint(asked)[0].picture for asked in requests]
    ours = Ours(model, **options)
    dice = random.Random(wanted.seed)
    compared, different, mixes = 0, 0, 0
    began_s = said_s = time.monotonic()
    while mixes < wanted.mixes and time.monotonic() - began_s < wanted.limit:
        chosen = [dice.randrange(len(requests)) for _ in range(dice.randint(2, 5))]
        painted = run_mix(ours, [requests[number] for number in chosen], dice)
        for place, picture in painted.items():
            compared += 1
            different += picture.tobytes() != alone[chosen[place]].tobytes()
        mixes += 1
        if time.monotonic() - said_s > PROGRESS_INTERVAL_S:
            said_s = time.monotonic()
            sys.stderr.write(f"{mixes} of {wanted.mixes} mixes, {different} pictures differ\n")
    report(
        "strict",
        line=f"{compared} pictures of {mixes} mixes, {different} differ from the same request alone.",
        met={f"all pictures of {wanted.mixes} mixes byte-identical": not different and mixes == wanted.mixes},
        model="embedded" if model == EMBEDDED_MODEL else model.name,
        sizes_px=sizes_px,
        strict_rows=wanted.strict_rows,
        precision_in_openvino=ours.runs_in,
        mixes=mixes,
        pictures_compared=compared,
        pictures_different=different,
        distinct_pictures=len({picture.tobytes() for picture in alone}),
        seconds=round(time.monotonic() - began_s, 1),
    )


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--model", type=Path, default=None, help="a diffusers folder; else a small random one"
    )
    options.add_argument("--threads", type=int, default=None, help="CPU threads of torch; else one a core")
    options.add_argument("--executor", choices=("auto", "eager", "openvino"), default="auto")
    options.add_argument("--mixes", type=int, default=1000)
    options.add_argument(
        "--requests", type=int, default=200, help="distinct requests that the mixes draw from"
    )
    options.add_argument("--sizes", type=int, nargs="+", default=[64, 96], help="in pixels")
    options.add_argument("--strict-rows", type=int, default=4, help="rows of every forward pass")
    options.add_argument("--seed", type=int, default=0, help="for other mixes")
    options.add_argument("--limit", type=float, default=1800.0, help="seconds after which no mix begins")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = wanted.model or write_checkpoint(Path(folder) / "random")
        compare(wanted, model, wanted.sizes, Path(folder) / "compiled")


if __name__ == "__main__":
    main()
