"""The judge: a small classifier that names the style of a picture, trained on the renderers' own pictures.

It learns from renditions of training photos and is tested on renditions of held-out photos; its accuracy
there bounds what its verdict on the model is worth. It sees one picture and never the photo that the picture
was made of. Half of its training pictures went through the autoencoder, so that it looks for the medium and
not for detail that the autoencoder drops.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor, nn

from training.autoencoder import reconstruct
from training.fields import Picture, to_picture
from training.pictures import SourcePictures, jitter
from training.shards import SIZE_PX
from training.styles import PROMISED_STYLES, STYLES
from training.texture import texture_statistics

LABELS = (*PROMISED_STYLES, "photo")

WINDOW_PX = 128
"""Side of the windows that go through the autoencoder: a quarter of the time of whole pictures."""

FADED = 0.3
"""A third of the examples keep up to this share of their source, as a model's picture may that is not quite there:
what is mostly a watercolor is named one.
"""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Statistics ``(n, k)`` of pictures and the indices of their ``LABELS``."""

    statistics: NDArray[np.float32]
    labels: NDArray[np.int64]


class StyleJudge(nn.Module):
    """Standardised statistics of a picture, one hidden layer, and a logit for each of ``LABELS``."""

    def __init__(self, inputs: int, width: int = 96) -> None:
        """Build an untrained judge of ``inputs`` statistics."""
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self._layers = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(inputs, width),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Linear(width, len(LABELS)),
        )

    def forward(self, statistics: Tensor) -> Tensor:
        """Logits for statistics ``(n, inputs)``. Beyond four deviations they count no further."""
        standard = ((statistics - self.mean) / self.deviation).clamp(-4, 4)
        logits: Tensor = self._layers(standard)
        return logits


@torch.no_grad()
def log_odds(judge: StyleJudge, pictures: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Log odds of each of ``LABELS`` against all others, for uint8 pictures ``(n, h, w, 3)``."""
    judge.eval()
    statistics = np.stack([texture_statistics(picture) for picture in pictures])
    certainty = judge(torch.from_numpy(statistics)).double().log_softmax(1)
    return np.asarray((certainty - torch.log(-torch.expm1(certainty.clamp(max=-1e-12)))).numpy())


def verdicts(judge: StyleJudge, pictures: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Probabilities over ``LABELS`` for uint8 pictures ``(n, h, w, 3)``."""
    return np.asarray(1 / (1 + np.exp(-log_odds(judge, pictures))))


def rendered_example(rng: np.random.Generator, pictures: SourcePictures, label: int) -> Picture:
    """A picture in the style of a label, or a photo as it is.

    Only photos stand for "photo": a drawing or a procedural scene can look like any flat medium.
    """
    if label == len(PROMISED_STYLES):
        return jitter(rng, pictures.photo(rng, SIZE_PX).picture)
    source = pictures.sample(rng, SIZE_PX).picture
    rendered = STYLES[LABELS[label]](rng, source)
    if rng.random() < 2 / 3:
        return rendered
    kept = rng.uniform(0, FADED)
    return to_picture(rendered * np.float32(1 - kept) + source * np.float32(kept) + 0.5)


def training_examples(
    pictures: SourcePictures, autoencoder: AutoencoderTiny, count: int, seed: int
) -> Examples:
    """Statistics of rendered training pictures: whole ones as they are, and windows (whole latent cells) that the
    autoencoder reconstructed, in turn.
    """
    rng = np.random.default_rng([seed, 13])
    statistics = []
    labels = np.arange(count) // 2 % len(LABELS)
    for number, label in enumerate(labels):
        picture = rendered_example(rng, pictures, int(label))
        if number % 2:
            top, left = 8 * rng.integers(0, (SIZE_PX - WINDOW_PX) // 8 + 1, 2)
            window = picture[None, top : top + WINDOW_PX, left : left + WINDOW_PX]
            [picture] = reconstruct(autoencoder, window, torch.device("cpu"))
        statistics.append(texture_statistics(picture))
    return Examples(statistics=np.stack(statistics), labels=labels)


def train_judge(examples: Examples, steps: int = 1500) -> StyleJudge:
    """Train a judge; seconds, since the statistics are there already."""
    generator = torch.Generator().manual_seed(3)
    statistics, targets = torch.from_numpy(examples.statistics), torch.from_numpy(examples.labels)
    judge = StyleJudge(statistics.size(1))
    judge.mean.copy_(statistics.mean(0))
    judge.deviation.copy_(statistics.std(0) + 0.02)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(targets), (64,), generator=generator)
        loss = F.cross_entropy(judge(statistics[chosen]), targets[chosen], label_smoothing=0.02)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return judge.eval()


def rendered_hits(judge: StyleJudge, photos: list[Picture], autoencoder: AutoencoderTiny) -> dict[str, float]:
    """For each of ``LABELS``, the share of held-out photos whose rendition by the style's own renderer (the photo
    itself for "photo"), seen through the autoencoder, the judge names right.
    """
    rng = np.random.default_rng(17)
    hits = {}
    for label, name in enumerate(LABELS):
        rendered = np.stack([STYLES[name](rng, p) if name in STYLES else p for p in photos])
        seen = reconstruct(autoencoder, rendered, torch.device("cpu"))
        hits[name] = float((log_odds(judge, seen).argmax(1) == label).mean())
    return hits


def load_or_train_judge(
    path: Path,
    pictures: SourcePictures,
    autoencoder: AutoencoderTiny,
    count: int = 1300,
    steps: int = 1500,
) -> StyleJudge:
    """The judge kept in ``path``, trained first where there is none."""
    if path.exists():
        state = torch.load(path, weights_only=True)
        judge = StyleJudge(len(state["mean"]))
        judge.load_state_dict(state)
        return judge.eval()
    judge = train_judge(training_examples(pictures, autoencoder, count, seed=1), steps)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(judge.state_dict(), path)
    return judge
