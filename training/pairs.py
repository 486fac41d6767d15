"""What adapters are trained on: photos and what shall become of them, as latents, the model itself being fixed.

They are rendered from the photos in the shards of an earlier training and encoded by the autoencoder of the model that
the adapter is for. A folder holds ``sources.npy`` and ``targets.npy`` (float16 latents), ``captions.json``, and where
another picture leads ``references.npy``, uint8 ``(n, side, side, 3)``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from training.captions import PLAIN_PHRASES
from training.denoiser import BRIDGE_SHARE, COMPLETE_START, Batch, column, draw_times
from training.fields import Picture
from training.latents import encode_pictures
from training.shards import complete_shards, has_pictures, load_shard
from training.tokenizer import token_ids

AT_ONCE = 64
"""Pairs rendered before they are encoded."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo of a shard.

    Attributes:
        picture: It.
        content: What it shows, in words; may be empty.
        latents: As the shard has them, float16 ``(channels, 32, 32)``; or None.
    """

    picture: Picture
    content: str
    latents: NDArray[np.float16] | None = None


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What shall become of a photo.

    Attributes:
        target: It.
        caption: Words for it.
        label: What kind of pair it is, for a helper task; or "".
        reference: The picture that leads, square; or None.
    """

    target: Picture
    caption: str
    label: str = ""
    reference: Picture | None = None


Render = Callable[[np.random.Generator, Photo, Photo], Rendered]
"""From a photo and another one to what shall become of the first."""


def content_of(caption: str) -> str:
    """What a plain caption says beside that it is a photo."""
    for phrase in sorted(PLAIN_PHRASES, key=len, reverse=True):
        if caption == phrase:
            return ""
        caption = (
            caption.removeprefix(f"{phrase} of ").removeprefix(f"{phrase}, ").removesuffix(f", {phrase}")
        )
    return caption


class ShardPhotos:
    """The photos of the shards that still have their pictures."""

    def __init__(self, folder: Path) -> None:
        """Open the shards. Raises `FileNotFoundError` where none has pictures."""
        folders = [shard for shard in complete_shards(folder) if has_pictures(shard)]
        self._shards = [load_shard(shard) for shard in folders]
        self._latents = [
            np.load(shard / "latents.npy", mmap_mode="r") if (shard / "latents.npy").exists() else None
            for shard in folders
        ]
        if not self._shards:
            raise FileNotFoundError(f"no shard in {folder} has its pictures")
        self._places = [(k, record[0]) for k, shard in enumerate(self._shards) for record in shard.records]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)

    def __getitem__(self, index: int) -> Photo:
        """One of them."""
        shard, place = self._places[index]
        latents = self._latents[shard]
        return Photo(
            latents=None if latents is None else np.array(latents[place]),
            picture=np.array(self._shards[shard].pictures[place]),
            content=content_of(self._shards[shard].captions[place]),
        )


def render_pairs(
    folder: Path,
    photos: ShardPhotos,
    render: Render,
    autoencoder: AutoencoderTiny,
    count: int,
    device: torch.device,
) -> None:
    """Write ``count`` pairs, unless the folder has them: each photo in turn, and with it a random other one."""
    if (folder / "captions.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    sources: list[NDArray[np.float16]] = []
    targets: list[NDArray[np.float16]] = []
    references: list[Picture] = []
    captions: list[str] = []
    labels: list[str] = []
    order = np.concatenate([rng.permutation(len(photos)) for _ in range(-(-count // len(photos)))])[:count]
    for start in range(0, count, AT_ONCE):
        chosen = [photos[int(index)] for index in order[start : start + AT_ONCE]]
        made = [render(rng, photo, photos[int(rng.integers(len(photos)))]) for photo in chosen]
        sources.append(_latents(chosen, autoencoder, device))
        targets.append(encode_pictures(autoencoder, np.stack([one.target for one in made]), device))
        references += [one.reference for one in made if one.reference is not None]
        captions += [one.caption for one in made]
        labels += [one.label for one in made]
        print(f"rendered {len(captions)} of {count} pairs", flush=True)
    np.save(folder / "sources.npy", np.concatenate(sources))
    np.save(folder / "targets.npy", np.concatenate(targets))
    if references:
        np.save(folder / "references.npy", np.stack(references))
    (folder / "captions.json").write_text(json.dumps({"captions": captions, "labels": labels}))


def _latents(photos: list[Photo], autoencoder: AutoencoderTiny, device: torch.device) -> NDArray[np.float16]:
    """Those of the shards, if this autoencoder made the first of them; else anew."""
    kept = [photo.latents for photo in photos if photo.latents is not None]
    if len(kept) == len(photos):
        first = encode_pictures(autoencoder, photos[0].picture[None], device)
        # The two may have computed in different precision.
        if kept[0].shape == first[0].shape and float(np.abs(first[0] - kept[0]).mean()) < 0.03:
            return np.stack(kept)
    return encode_pictures(autoencoder, np.stack([photo.picture for photo in photos]), device)


class Pairs:
    """Rendered pairs in memory.

    Attributes:
        sources: float16 ``(n, channels, 32, 32)``.
        targets: The same shape.
        ids: Token ids of the captions, ``(n, MAX_TOKENS)``.
        labels: Of what kind each is.
        references: uint8 ``(n, 3, side, side)``, or None.
    """

    def __init__(self, folder: Path, tokenizer: CLIPTokenizer) -> None:
        """Read a folder that `render_pairs` wrote."""
        index = json.loads((folder / "captions.json").read_text())
        self.sources = torch.from_numpy(np.load(folder / "sources.npy"))
        self.targets = torch.from_numpy(np.load(folder / "targets.npy"))
        self.ids = torch.tensor(token_ids(tokenizer, index["captions"]))
        self.labels: list[str] = index["labels"]
        led = folder / "references.npy"
        self.references: Tensor | None = None
        if led.exists():
            self.references = torch.from_numpy(np.load(led)).permute(0, 3, 1, 2).contiguous()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.sources)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A batch, and which pairs it is of.

    Attributes:
        batch: For the denoiser's losses.
        chosen: Indices of the pairs.
        left_alone: Where the empty caption shall leave the photo as it is.
    """

    batch: Batch
    chosen: Tensor
    left_alone: Tensor


def draw_pairs(
    generator: torch.Generator,
    pairs: Pairs,
    empty: Tensor,
    count: int,
    side: int,
    device: torch.device,
    *,
    wordless_share: float,
    left_alone_share: float = 0.0,
) -> Drawn:
    """Random crops of random pairs, as bridges or as ordinary samples (see ``denoiser.py``).

    Args:
        generator: Of what is random.
        pairs: To draw from.
        empty: Token ids of the empty caption.
        count: Samples.
        side: Of the crops.
        device: Where the batch goes.
        wordless_share: Share of the samples with the empty caption in place of their own.
        left_alone_share: Share whose target is the photo itself, with the empty caption.
    """
    chosen = torch.randint(len(pairs), (count,), generator=generator)
    full = pairs.sources.size(-1)
    corners = torch.randint(full - side + 1, (count, 2), generator=generator).tolist()
    windows = [
        (int(index), slice(None), slice(top, top + side), slice(left, left + side))
        for index, (top, left) in zip(chosen.tolist(), corners, strict=True)
    ]
    source = torch.stack([pairs.sources[window] for window in windows]).float()
    target = torch.stack([pairs.targets[window] for window in windows]).float()
    draws = torch.rand((3, count), generator=generator)
    left_alone = draws[0] < left_alone_share
    wordless = left_alone | (draws[1] < wordless_share)
    target = torch.where(column(left_alone), source, target)
    bridged = draws[2] < BRIDGE_SHARE
    time, start = draw_times(generator, count)
    share = torch.where(bridged, (start / COMPLETE_START).clamp_max(1), torch.ones(count))
    batch = Batch(
        source=source.to(device),
        target=torch.lerp(source, target, column(share)).to(device),
        ids=torch.where(wordless[:, None], empty, pairs.ids[chosen]).to(device),
        start=torch.where(bridged, start, torch.full_like(start, -1)).to(device),
        time=time.to(device),
        noise=torch.randn(source.shape, generator=generator).to(device),
    )
    return Drawn(batch=batch, chosen=chosen, left_alone=left_alone)
