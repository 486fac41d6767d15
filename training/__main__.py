"""Train the embedded model: ``python -m training --out DIR --minutes N``. Run it again to go on where it
stopped.
"""

import os

# Threads that spin while they wait starve a busy machine (measured: twenty times slower); must precede torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from training.recipe import Recipe


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for everything: data, checkpoints, model"
    )
    parser.add_argument(
        "--minutes", type=float, required=True, help="compute budget of all stages over all runs"
    )
    parser.add_argument(
        "--autoencoder-minutes",
        type=float,
        help="share of it for the autoencoder (default: 30%%, at most 60)",
    )
    parser.add_argument(
        "--decoder-minutes",
        type=float,
        help="share of it for training the decoder on at the end (default: 10%%, at most 60)",
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="MODEL",
        help="model folder that an earlier run exported, to go on from its weights; or only its autoencoder (vae/)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="processor threads (default: all)"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="tiny models and data: try every stage in a minute"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the recipe."""
    given = arguments(words)
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pid").write_text(str(os.getpid()))
    recipe = Recipe.of_budget(
        folder=given.out,
        minutes=given.minutes,
        autoencoder_minutes=given.autoencoder_minutes,
        decoder_minutes=given.decoder_minutes,
        device=torch.device(given.device),
        smoke=given.smoke,
        start=given.start_from,
    )
    recipe.run()


if __name__ == "__main__":
    main()
