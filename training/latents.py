"""Encoded shards: what the denoiser trains on, all of it in memory as half precision."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor

from training.autoencoder import to_tensor
from training.precision import fast_autocast
from training.shards import complete_shards, load_index, load_shard

BATCH = 4
"""Pictures encoded at once: larger batches leave the processor's cache and are slower."""

Tokenize = Callable[[list[str]], list[list[int]]]


@torch.no_grad()
def encode_pictures(
    model: AutoencoderTiny, pictures: NDArray[np.uint8], device: torch.device
) -> NDArray[np.float16]:
    """Latents of unit variance, ``(n, channels, h / 8, w / 8)``, as the denoiser sees them."""
    scale = float(model.config["scaling_factor"])
    batches = []
    for start in range(0, len(pictures), BATCH):
        with fast_autocast(device):
            raw = model.encoder(to_tensor(np.asarray(pictures[start : start + BATCH]), device))
        batches.append((raw.float() * scale).half().cpu().numpy())
    return np.concatenate(batches)


def encoded_shards(folder: Path) -> list[Path]:
    """Shards that have latents, oldest first."""
    return [shard for shard in complete_shards(folder) if (shard / "latents.npy").exists()]


def encode_shards(model: AutoencoderTiny, folder: Path, count: int, device: torch.device) -> None:
    """Encode the oldest shards without latents until ``count`` have them, or all do."""
    done = len(encoded_shards(folder))
    waiting = [shard for shard in complete_shards(folder) if not (shard / "latents.npy").exists()]
    for shard in waiting[: max(0, count - done)]:
        partial = shard / "latents.partial.npy"
        np.save(partial, encode_pictures(model, load_shard(shard).pictures, device))
        partial.rename(shard / "latents.npy")


def drop_pictures(folder: Path) -> None:
    """Free the disk of an encoded shard's pictures, which are eight times larger than the latents."""
    if (folder / "latents.npy").exists():
        (folder / "pictures.npy").unlink(missing_ok=True)


class LatentSet:
    """All encoded records, with token ids of their captions.

    Attributes:
        latents: float16 ``(n, channels, 32, 32)``.
        ids: int64 ``(n, tokens)``.
        records: Indices that belong together, the source first.
    """

    def __init__(self, folders: list[Path], tokenize: Tokenize) -> None:
        """Read the encoded shards in ``folders``."""
        latents, ids, self.records = [], [], []
        offset = 0
        for folder in folders:
            captions, records = load_index(folder)
            encoded = np.load(folder / "latents.npy")
            latents.append(torch.from_numpy(encoded))
            ids.append(torch.tensor(tokenize(captions)))
            self.records += [[offset + i for i in record] for record in records]
            offset += len(encoded)
        self.latents: Tensor = torch.cat(latents)
        self.ids: Tensor = torch.cat(ids)
