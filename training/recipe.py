"""The recipe: every stage in order, each going on from what is in the folder.

=============  ===========================================================================================
Folder         What a stage leaves there
=============  ===========================================================================================
downloads      packages of the registries, checked by hash
sources        prepared photos, panoramas and drawings
shards         rendered pictures with captions, and their latents
autoencoder    checkpoint, log, curves, reconstructions of held-out photos; ``final`` once it is done
decoder        the same for the decoder alone, trained on at the end
tokenizer      vocabulary and merges
denoiser       checkpoint, log, curves
samples        sheets of what the model does to held-out photos, one each quarter of an hour
model          the diffusers folder, written anew with every sheet
=============  ===========================================================================================
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image

from training.autoencoder import AutoencoderTraining, build_autoencoder
from training.export import export_model, image_to_image, normalise_latents, replace_autoencoder
from training.fields import Picture
from training.judging import judged_photos
from training.latents import LatentSet, drop_pictures, encode_shards, encoded_shards
from training.pictures import SourcePictures
from training.progress import parameter_millions
from training.shards import complete_shards, ensure_shards, load_index, load_shard
from training.sheets import strength_sheet
from training.sources import prepare
from training.tokenizer import load_tokenizer, token_ids, train_tokenizer
from training.train_denoiser import DenoiserPlan, DenoiserTraining

FIRST_ENCODED = 6
"""Shards encoded before the denoiser starts; each renewal of the data adds one, rendered first once all are encoded."""

SHOWN_PHOTOS = ("temple", "astronaut", "cat", "mountains")
AUTOENCODER_PHOTOS = ("temple", "astronaut", "cat", "coffee", "mountains", "dogs", "bridge", "bird")


def has_denoiser(start: Path | None) -> bool:
    """Whether a model folder to start from is more than an autoencoder."""
    return start is not None and (start / "unet").is_dir()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Budgets and sizes.

    Attributes:
        folder: Where everything lives.
        device: Where to train.
        autoencoder_minutes: Compute for the autoencoder.
        decoder_minutes: Compute for training the decoder on once the denoiser is done.
        first_shards: Shards rendered before training starts.
        most_shards: Shards that the denoiser holds in memory; the oldest make room.
        records: Source pictures in a shard.
        autoencoder_width: Channels of the autoencoder.
        tokenizer_merges: Merges of the vocabulary.
        plan: The denoiser's plan.
        start: A model folder, or some parts of one, to go on from where there is no checkpoint; or None.
    """

    folder: Path
    device: torch.device
    autoencoder_minutes: float
    decoder_minutes: float
    first_shards: int
    most_shards: int
    records: int
    autoencoder_width: int
    tokenizer_merges: int
    plan: DenoiserPlan
    start: Path | None = None

    @classmethod
    def of_budget(
        cls,
        *,
        folder: Path,
        minutes: float,
        autoencoder_minutes: float | None,
        decoder_minutes: float | None = None,
        device: torch.device,
        smoke: bool,
        start: Path | None = None,
    ) -> "Recipe":
        """A recipe for a budget of ``minutes`` of compute; ``smoke`` makes everything tiny.

        Raises `FileNotFoundError` where ``start`` has no autoencoder, on which all else depends.
        """
        if start is not None and not (start / "vae" / "config.json").is_file():
            raise FileNotFoundError(f"{start} has no autoencoder (vae/config.json) to start from")
        first = min(0.3 * minutes, 60.0) if autoencoder_minutes is None else autoencoder_minutes
        if start is not None:
            first = 0.0
        last = min(0.1 * minutes, 60.0) if decoder_minutes is None else decoder_minutes
        rest = max(minutes - first - last, 0.0)
        if smoke:
            plan = DenoiserPlan(
                minutes=rest, channels=(32, 32, 64), text_width=64, rows=8, sample_minutes=1e9
            )
            return cls(
                folder=folder,
                device=device,
                autoencoder_minutes=first,
                decoder_minutes=last,
                first_shards=1,
                most_shards=2,
                records=6,
                autoencoder_width=8,
                tokenizer_merges=200,
                plan=plan,
                start=start,
            )
        return cls(
            folder=folder,
            device=device,
            autoencoder_minutes=first,
            decoder_minutes=last,
            first_shards=int(np.clip(minutes / 8, 3, 32)),
            most_shards=40,
            records=256,
            autoencoder_width=32,
            tokenizer_merges=2000,
            # A model that understands captions already learns guidance from the beginning.
            plan=DenoiserPlan(minutes=rest, guided_from=0.02 if has_denoiser(start) else 0.6),
            start=start,
        )

    def run(self) -> None:
        """Run all stages."""
        prepare(self.folder / "downloads", self.folder / "sources")
        pictures = SourcePictures(self.folder / "sources")
        ensure_shards(self._shards, pictures, self.first_shards, self.records)
        autoencoder = self._autoencoder()
        self._denoiser(pictures, autoencoder)
        if self.decoder_minutes > 0:
            replace_autoencoder(self.folder / "model", self._decoder())

    @property
    def _shards(self) -> Path:
        return self.folder / "shards"

    def _judged(self, names: tuple[str, ...]) -> dict[str, Picture]:
        photos = judged_photos(self.folder / "downloads", 256)
        return {name: photos[name] for name in names}

    def _autoencoder(self) -> AutoencoderTiny:
        """The finished autoencoder, trained first where there is none."""
        final = self.folder / "autoencoder" / "final"
        if self.start is not None and not final.exists():
            AutoencoderTiny.from_pretrained(self.start / "vae", dtype=torch.float32).save_pretrained(final)
        if not final.exists():
            model = build_autoencoder(self.autoencoder_width)
            self._autoencoder_training(model, "autoencoder").run(self.autoencoder_minutes)
            some = load_shard(complete_shards(self._shards)[0]).pictures[:512]
            normalise_latents(model, np.asarray(some), self.device)
            model.save_pretrained(final)
        return self._load_autoencoder(final)

    def _decoder(self) -> AutoencoderTiny:
        """The autoencoder with its decoder trained on, against the encoder that made the latents."""
        final = self.folder / "decoder" / "final"
        if not final.exists():
            model = self._load_autoencoder(self.folder / "autoencoder" / "final")
            self._autoencoder_training(model, "decoder", decoder_only=True).run(self.decoder_minutes)
            model.save_pretrained(final)
        return self._load_autoencoder(final)

    def _autoencoder_training(
        self, model: AutoencoderTiny, name: str, *, decoder_only: bool = False
    ) -> AutoencoderTraining:
        judged = np.stack(list(self._judged(AUTOENCODER_PHOTOS).values()))
        return AutoencoderTraining(
            model, self.folder / name, self._shards, judged, self.device, decoder_only=decoder_only
        )

    def _load_autoencoder(self, folder: Path) -> AutoencoderTiny:
        loaded: AutoencoderTiny = AutoencoderTiny.from_pretrained(folder)
        return loaded.to(device=self.device, memory_format=torch.channels_last).eval()

    def _denoiser(self, pictures: SourcePictures, autoencoder: AutoencoderTiny) -> None:
        encode_shards(autoencoder, self._shards, FIRST_ENCODED, self.device)
        vocabulary = self.folder / "tokenizer"
        start = self.start if has_denoiser(self.start) else None
        if start is not None and not vocabulary.exists():
            load_tokenizer(start / "tokenizer").save_pretrained(vocabulary)
        if not (vocabulary / "tokenizer_config.json").exists():
            captions = [c for folder in complete_shards(self._shards) for c in load_index(folder)[0]]
            train_tokenizer(captions, vocabulary, self.tokenizer_merges)
        tokenizer = load_tokenizer(vocabulary)

        def data() -> LatentSet:
            folders = encoded_shards(self._shards)[-self.most_shards :]
            return LatentSet(folders, lambda captions: token_ids(tokenizer, captions))

        def refresh(samples: int) -> LatentSet:
            encoded = encoded_shards(self._shards)
            if len(encoded) == len(complete_shards(self._shards)):
                ensure_shards(self._shards, pictures, int(encoded[-1].name) + 2, self.records)
            encode_shards(autoencoder, self._shards, len(encoded) + 1, self.device)
            for folder in complete_shards(self._shards)[self.first_shards :]:
                drop_pictures(folder)
            return data()

        shown = self._judged(SHOWN_PHOTOS)

        def show(training: DenoiserTraining) -> None:
            pipeline = image_to_image(autoencoder, training.text_encoder, tokenizer, training.unet)
            sheet = strength_sheet(pipeline, shown)
            path = self.folder / "samples" / f"{round(training.minutes):06}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(sheet).save(path)
            size_mb = export_model(
                self.folder / "model", autoencoder, training.text_encoder, tokenizer, training.unet
            )
            print(f"samples in {path.name}; the model folder has {size_mb:.1f} MB", flush=True)

        training = DenoiserTraining(
            self.folder / "denoiser", tokenizer, data(), self.plan, self.device, start=start
        )
        print(
            f"UNet {parameter_millions(training.unet):.1f} M, text encoder"
            f" {parameter_millions(training.text_encoder):.1f} M, {training.samples} samples so far",
            flush=True,
        )
        training.run(refresh, show)
