"""Train the IP-Adapter, by which another picture lends its palette and texture: ``python -m training.ip_adapter --model
MODEL --data DIR --out DIR --minutes N``. Run it again to go on where it stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from training.adapting import Adapting, AdaptingPlan, FrozenModel, Step, command_line
from training.denoiser import draw_scale
from training.fields import Picture
from training.helper_task import LOOKS, HelperTask
from training.judging import judged_photos
from training.lending import lend, shown_small
from training.muon import muon_groups
from training.pairs import Pairs, Photo, Rendered, ShardPhotos, draw_pairs, render_pairs
from training.picture_prompts import ENCODED_WIDTH, PicturePrompts, PromptedDenoiser
from training.precision import fast_autocast
from training.schedule import signal_and_noise
from training.sheets import grid_sheet, tile
from training.styles import STYLES

MATRIX_RATE, OTHER_RATE = 1e-3, 1e-3
PAIRS = 1280
KEPT_PX = 144
"""Side of the references as they are kept: the encoder sees a random square of them."""
WORDLESS_SHARE = 0.6
LEFT_ALONE_SHARE = 0.08
HELPER_ONLY = 0.12
"""Share of the budget in which the encoder learns by its helper task alone."""
SHOWN_PHOTOS = ("temple", "astronaut", "cat")
SHOWN_REFERENCES = (
    ("sunset", ""),
    ("flower", ""),
    ("mountains", "watercolor"),
    ("bridge", "oil"),
    ("coffee", "pop_art"),
    ("rocket", "pixel_art"),
    ("bird", "line_art"),
    ("roofs", "neon"),
)


def lent_pair(rng: np.random.Generator, photo: Photo, other: Photo) -> Rendered:
    """The photo with palette and texture of the other one, which is rendered at random."""
    lent = lend(rng, photo.picture, photo.content, other.picture)
    return Rendered(
        target=lent.picture,
        caption=lent.caption,
        label=lent.look,
        reference=shown_small(lent.reference, KEPT_PX),
    )


class IPAdapterTraining:
    """An IP-Adapter for a model, and its training."""

    def __init__(
        self,
        model: FrozenModel,
        pairs: Pairs,
        folder: Path,
        plan: AdaptingPlan,
        device: torch.device,
        *,
        start: Path | None = None,
        encoder: CLIPVisionModelWithProjection | None = None,
    ) -> None:
        """Put it into the model's UNet: new, or as it is in ``start``, or from the checkpoint in ``folder``.

        Args:
            model: That it is for.
            pairs: With references.
            folder: Of everything that comes out.
            plan: How long.
            device: Where.
            start: Folder of an exported adapter.
            encoder: A new image encoder, if not of the usual size.

        Raises:
            ValueError: the pairs have no references.
        """
        if pairs.references is None:
            raise ValueError("the pairs have no references")
        self._model, self._pairs, self._folder, self._device = model, pairs, folder, device
        self._references = pairs.references
        self._looks = torch.tensor([LOOKS.index(label) for label in pairs.labels])
        torch.manual_seed(0)
        self.prompts = PicturePrompts(model.unet, model.text_encoder, encoder)
        if start is not None:
            self.prompts.load(start)
        self._helper_only = 0.0 if start is not None else HELPER_ONLY
        self._helper = HelperTask(ENCODED_WIDTH).to(device)
        trained = nn.ModuleList([self.prompts, self._helper])
        groups = muon_groups(trained, MATRIX_RATE, OTHER_RATE, skip=("_helper", "1."))
        self._training = Adapting(folder, trained, groups, plan, device)
        self._denoiser = PromptedDenoiser(model.unet, model.text_encoder, *signal_and_noise(device))

    def run(self, photos: dict[str, Picture], references: dict[str, Picture]) -> None:
        """Train until the budget is spent, showing now and then what references lend to some photos."""

        def show(step: int) -> None:
            self.prompts.export(self._folder)
            with torch.no_grad():
                sheet = reference_sheet(self._model.pipeline(), self.prompts, photos, references)
            (self._folder / "samples").mkdir(exist_ok=True)
            Image.fromarray(sheet).save(self._folder / "samples" / f"{step:06}.png")

        self._training.run(self._loss, show)

    def _loss(self, generator: torch.Generator, step: Step) -> dict[str, Tensor]:
        if step.fraction < self._helper_only:
            chosen = torch.randint(len(self._pairs), (32,), generator=generator)
            return {"helper": self._encoded(generator, chosen)[1]}
        drawn = draw_pairs(
            generator,
            self._pairs,
            self._model.empty,
            step.count,
            step.side,
            self._device,
            wordless_share=WORDLESS_SHARE,
            left_alone_share=LEFT_ALONE_SHARE,
        )
        embeds, helper = self._encoded(generator, drawn.chosen)
        self._denoiser.embeds = torch.where(drawn.left_alone[:, None].to(self._device), 0.0, embeds)
        losses = {"helper": 0.1 * helper}
        with fast_autocast(self._device):
            if not step.guided:
                return {**losses, "plain": self._denoiser.plain_loss(drawn.batch)[0]}
            negatives = self._model.draw_negatives(generator, step.count).to(self._device)
            scale = draw_scale(generator, step.count).to(self._device)
            return {**losses, "guided": self._denoiser.guided_loss(drawn.batch, negatives, scale)[0]}

    def _encoded(self, generator: torch.Generator, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder makes of the references of some pairs, and the loss of its helper task."""
        side = int(self.prompts.encoder.config.image_size)
        slack = self._references.size(-1) - side + 1
        corners = torch.randint(slack, (len(chosen), 2), generator=generator).tolist()
        flips = (torch.rand(len(chosen), generator=generator) < 0.5).tolist()
        shown = []
        for index, (top, left), flip in zip(chosen.tolist(), corners, flips, strict=True):
            crop = self._references[index, :, top : top + side, left : left + side]
            shown.append(crop.flip(2) if flip else crop)
        pictures = torch.stack(shown).to(self._device)
        with fast_autocast(self._device):
            embeds = self.prompts.encode(pictures)
        embeds = embeds.float()
        return embeds, self._helper.loss(embeds, pictures, self._looks[chosen].to(self._device))


def reference_sheet(
    pipeline: StableDiffusionImg2ImgPipeline,
    prompts: PicturePrompts,
    photos: dict[str, Picture],
    references: dict[str, Picture],
    strength: float = 0.7,
) -> Picture:
    """References across the top, photos down the side, and what each lends to each, without a word of prompt."""
    side = int(prompts.encoder.config.image_size)
    top = [np.full_like(tile(next(iter(photos.values())), ""), 255)]
    top += [tile(reference, name) for name, reference in references.items()]
    rows = [top]
    for name, photo in photos.items():
        row = [tile(photo, name)]
        for reference in references.values():
            small = torch.from_numpy(shown_small(reference, side)).permute(2, 0, 1)[None]
            embeds = prompts.encode(small.to(pipeline.device))[:, None]
            made = pipeline(
                "",
                image=Image.fromarray(photo),
                strength=strength,
                guidance_scale=7.0,
                num_inference_steps=20,
                ip_adapter_image_embeds=[torch.cat([torch.zeros_like(embeds), embeds])],
                generator=torch.Generator().manual_seed(1),
            ).images[0]
            row.append(tile(np.asarray(made, np.uint8), ""))
        rows.append(row)
    return grid_sheet(rows)


def shown_references(photos: dict[str, Picture]) -> dict[str, Picture]:
    """Held-out photos, most of them rendered in a style."""
    rng = np.random.default_rng(3)
    return {
        f"{name} {style}".strip(): STYLES[style](rng, photos[name]) if style else photos[name]
        for name, style in SHOWN_REFERENCES
    }


def main(words: Sequence[str] | None = None) -> None:
    """Render the pairs and train."""
    given = command_line("ip_adapter", __doc__, words)
    device = torch.device(given.device)
    model = FrozenModel(given.model, device)
    render_pairs(
        given.out / "pairs", ShardPhotos(given.data / "shards"), lent_pair, model.autoencoder, PAIRS, device
    )
    pairs = Pairs(given.out / "pairs", model.tokenizer)
    plan = AdaptingPlan(minutes=given.minutes)
    photos = judged_photos(given.data / "downloads", 256)
    training = IPAdapterTraining(model, pairs, given.out, plan, device, start=given.start_from)
    training.run({name: photos[name] for name in SHOWN_PHOTOS}, shown_references(photos))


if __name__ == "__main__":
    main()
