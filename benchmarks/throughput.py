"""Sixteen unlike requests at once: the engine beside diffusers' pipeline, which takes them one after the other.

python -m benchmarks.throughput [--rounds 10]
"""

import argparse
import itertools

from benchmarks.sides import (
    Asked,
    Ours,
    Theirs,
    engine_options_of,
    in_turns,
    options_of,
    photo,
    ratio,
    report,
    spread,
)

WANTED_RATIO = 2.0
SAMPLERS = ("DDIM", "Euler a", "DPM++ 2M Karras", "UniPC")
SIZES_PX = (256, 128)
REQUESTS = 16


def mixed_requests(steps: int) -> list[Asked]:
    """Strengths from 0.3 to 0.9, guidance on and off, four samplers, two sizes: every combination is another one."""
    kinds = itertools.product(SIZES_PX, (7.0, 1.0), SAMPLERS)
    return [
        Asked(
            size_px=size_px,
            steps=steps,
            # Seven is prime to sixteen, so that strengths are spread over sizes, guidance and samplers.
            strength=0.3 + 0.6 * (7 * number % REQUESTS) / (REQUESTS - 1),
            guidance_scale=guidance_scale,
            scheduler=sampler,
            seed=number,
            picture=photo(size_px, number),
        )
        for number, (size_px, guidance_scale, sampler) in enumerate(kinds)
    ]


def main() -> None:
    """Measure and report."""
    options = options_of(__doc__, rounds=3)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--max-rows", type=int, default=8, help="most rows of a forward pass of the engine")
    options.add_argument("--limit", type=float, default=90.0, help="seconds after which no round begins")
    wanted = options.parse_args()

    measure(wanted, Ours(wanted.model, **engine_options_of(wanted), max_rows=wanted.max_rows))


def measure(wanted: argparse.Namespace, ours: Ours) -> None:
    """Take turns and report."""
    requests = mixed_requests(wanted.steps)
    theirs = Theirs(wanted.model, ours.engine.device)

    def round_of(number: int) -> list[Asked]:
        return [request.varied(REQUESTS * (number + 1)) for request in requests]

    def one_after_the_other(number: int) -> None:
        for request in round_of(number):
            theirs.paint(request)

    def at_once(number: int) -> None:
        ours.paint(*round_of(number))

    def one_by_one(number: int) -> None:
        # Other numbers than those of `at_once`, whose encoded prompts and pictures are kept.
        for request in round_of(number + wanted.rounds + 1):
            ours.paint(request)

    # The engine measures, over its first passes, how large a batch pays; a server has that behind it.
    at_once(-1)
    one_after_the_other(-1)
    taken = in_turns(
        {
            "diffusers, one after the other": one_after_the_other,
            "underpaint, all at once": at_once,
            "underpaint, one after the other": one_by_one,
        },
        rounds=wanted.rounds,
        limit_s=wanted.limit,
    )
    theirs_s, at_once_s, one_by_one_s = taken.values()
    faster = ratio(theirs_s, at_once_s)
    report(
        "throughput",
        line=f"{faster['median']:.2f} times the requests per second of diffusers; all at once is "
        f"{ratio(one_by_one_s, at_once_s)['median']:.2f} times as fast as one after the other.",
        met={f"at least {WANTED_RATIO} times the requests per second": faster["median"] >= WANTED_RATIO},
        requests=REQUESTS,
        steps=wanted.steps,
        samplers=SAMPLERS,
        sizes_px=SIZES_PX,
        rounds=len(at_once_s),
        seconds={side: spread(times) for side, times in taken.items()},
        requests_per_second={
            side: round(REQUESTS / spread(times)["median"], 3) for side, times in taken.items()
        },
        precision_in_openvino=ours.runs_in,
        times_as_many=faster,
        times_as_many_as_one_after_the_other=ratio(one_by_one_s, at_once_s),
    )


if __name__ == "__main__":
    main()
