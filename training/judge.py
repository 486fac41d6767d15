"""The judge: a small classifier that names the style of a picture, trained on the renderers' own pictures.

It learns from renditions of training photos and is tested on renditions of held-out photos; its accuracy
there bounds what its verdict on the model is worth. Half of its training pictures went through the
autoencoder, so that it looks for the medium and not for detail that the autoencoder drops.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor, nn

from training.autoencoder import reconstruct, to_tensor
from training.fields import Picture
from training.pictures import SourcePictures
from training.shards import SIZE_PX
from training.styles import PROMISED_STYLES, STYLES

LABELS = (*PROMISED_STYLES, "photo")


class StyleJudge(nn.Module):
    """Five strided convolutions, then means and deviations over the picture: texture counts, layout does
    not.
    """

    def __init__(self, width: int = 32) -> None:
        """Build an untrained judge."""
        super().__init__()
        channels = (3, width, width, 2 * width, 3 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self._features = nn.Sequential(*layers)
        self._head = nn.Linear(2 * channels[-1], len(LABELS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits over ``LABELS`` for images in -1..1."""
        features = self._features(images)
        pooled = torch.cat([features.mean((2, 3)), features.var((2, 3)).add(1e-5).sqrt()], 1)
        logits: Tensor = self._head(pooled)
        return logits


@torch.no_grad()
def verdicts(judge: StyleJudge, pictures: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Probabilities over ``LABELS`` for uint8 pictures ``(n, h, w, 3)``."""
    judge.eval()
    return np.concatenate(
        [judge(to_tensor(p[None], torch.device("cpu"))).softmax(1).numpy() for p in pictures]
    )


def rendered_example(rng: np.random.Generator, picture: Picture) -> tuple[Picture, int]:
    """A picture in a random style, or as it is, and its label."""
    label = int(rng.integers(len(LABELS)))
    return (picture if label == len(PROMISED_STYLES) else STYLES[LABELS[label]](rng, picture)), label


def training_set(
    pictures: SourcePictures, autoencoder: AutoencoderTiny, count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Rendered training pictures and labels, half of them reconstructed by the autoencoder."""
    rng = np.random.default_rng([seed, 13])
    examples = [rendered_example(rng, pictures.sample(rng, SIZE_PX).picture) for _ in range(count)]
    rendered = np.stack([picture for picture, _ in examples])
    rendered[::2] = reconstruct(autoencoder, rendered[::2], torch.device("cpu"))
    return rendered, np.array([label for _, label in examples], np.int64)


def random_windows(generator: torch.Generator, images: Tensor, size_px: int) -> Tensor:
    """The same random window and flip for a whole batch."""
    top, left = torch.randint(images.size(2) - size_px + 1, (2,), generator=generator).tolist()
    window = images[:, :, top : top + size_px, left : left + size_px]
    return window.flip(3) if torch.rand((), generator=generator) < 0.5 else window


def train_judge(pictures: NDArray[np.uint8], labels: NDArray[np.int64], steps: int = 700) -> StyleJudge:
    """Train a judge on rendered pictures."""
    generator = torch.Generator().manual_seed(3)
    judge = StyleJudge()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    targets = torch.from_numpy(labels)
    for _ in range(steps):
        chosen = torch.randint(len(pictures), (24,), generator=generator)
        images = random_windows(generator, to_tensor(pictures[chosen.numpy()], torch.device("cpu")), 192)
        loss = F.cross_entropy(judge(images), targets[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return judge.eval()


def judge_accuracy(judge: StyleJudge, photos: list[Picture], autoencoder: AutoencoderTiny) -> float:
    """Share of the renderers' own pictures of held-out photos, seen through the autoencoder, named right."""
    rng = np.random.default_rng(17)
    rendered = np.stack([STYLES[style](rng, photo) for photo in photos for style in PROMISED_STYLES])
    seen = reconstruct(autoencoder, rendered, torch.device("cpu"))
    wanted = np.tile(np.arange(len(PROMISED_STYLES)), len(photos))
    return float((verdicts(judge, seen).argmax(1) == wanted).mean())


def load_or_train_judge(
    path: Path, pictures: SourcePictures, autoencoder: AutoencoderTiny, count: int = 3000
) -> StyleJudge:
    """The judge kept in ``path``, trained first where there is none."""
    judge = StyleJudge()
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
        return judge.eval()
    judge = train_judge(*training_set(pictures, autoencoder, count, seed=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(judge.state_dict(), path)
    return judge
