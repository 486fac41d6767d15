"""Train the LoRA, a style that the model does not know: ``python -m training.lora --model MODEL --data DIR --out DIR
--minutes N``. Run it again to go on where it stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.adapting import Adapting, AdaptingPlan, FrozenModel, Step, command_line
from training.blueprint import blueprint, blueprint_caption
from training.denoiser import Denoiser, draw_scale
from training.fields import Picture
from training.judging import judged_photos
from training.pairs import Pairs, Photo, Rendered, ShardPhotos, draw_pairs, render_pairs
from training.precision import fast_autocast
from training.schedule import signal_and_noise
from training.sheets import grid_sheet, render, tile

RANK = 8
DOWN_RATE, UP_RATE = 2e-3, 1.2e-2
"""The upper halves begin at zero and learn faster (Hayou et al., "LoRA+", 2024)."""
PAIRS = 1280
WORDLESS_SHARE = 0.4
"""With the empty caption, so that it acts without its name too, and so that guidance has little to exaggerate."""
FILE = "blueprint.safetensors"
ATTENDING = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
CONVOLVING = ("conv1", "conv2", "conv_shortcut")
LAYERS = [*ATTENDING, *CONVOLVING]
"""Of the UNet, all that attend or convolve: strokes are made on the upper level, where nothing attends."""
SHOWN_PHOTOS = ("temple", "astronaut", "cat", "mountains")


def as_blueprint(rng: np.random.Generator, photo: Photo, other: Photo) -> Rendered:
    """A photo as a blueprint; a quarter of the time without a word of that."""
    caption = photo.content if rng.random() < 0.25 else blueprint_caption(rng, photo.content)
    return Rendered(target=blueprint(rng, photo.picture), caption=caption)


class LoraTraining:
    """A LoRA for the UNet of a model, and its training."""

    def __init__(
        self,
        model: FrozenModel,
        pairs: Pairs,
        folder: Path,
        plan: AdaptingPlan,
        device: torch.device,
        *,
        start: Path | None = None,
    ) -> None:
        """Add it to the model's UNet: new, or as it is in ``start``, or from the checkpoint in ``folder``."""
        self._model, self._pairs, self._folder, self._device = model, pairs, folder, device
        torch.manual_seed(0)
        model.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=LAYERS))
        if start is not None:
            stored = {name.removeprefix("unet."): half for name, half in load_file(start / FILE).items()}
            set_peft_model_state_dict(model.unet, stored, adapter_name="default")
        halves_by_rate: dict[float, list[nn.Parameter]] = {DOWN_RATE: [], UP_RATE: []}
        for name, weights in model.unet.named_parameters():
            if weights.requires_grad:
                halves_by_rate[UP_RATE if "lora_B" in name else DOWN_RATE].append(weights)
        added = [weights for halves in halves_by_rate.values() for weights in halves]
        groups = [
            {"params": halves, "lr": rate, "base_lr": rate, "muon": False}
            for rate, halves in halves_by_rate.items()
        ]
        self._training = Adapting(folder, nn.ParameterList(added), groups, plan, device)
        self._denoiser = Denoiser(model.unet, model.text_encoder, *signal_and_noise(device))

    def run(self, photos: dict[str, Picture]) -> None:
        """Train until the budget is spent, showing now and then what it does to some photos."""

        def show(step: int) -> None:
            self.export()
            sheet = weight_sheet(self._model.pipeline(), photos)
            (self._folder / "samples").mkdir(exist_ok=True)
            Image.fromarray(sheet).save(self._folder / "samples" / f"{step:06}.png")

        self._training.run(self._loss, show)

    def _loss(self, generator: torch.Generator, step: Step) -> dict[str, Tensor]:
        drawn = draw_pairs(
            generator,
            self._pairs,
            self._model.empty,
            step.count,
            step.side,
            self._device,
            wordless_share=WORDLESS_SHARE,
        )
        with fast_autocast(self._device):
            if not step.guided:
                return {"plain": self._denoiser.plain_loss(drawn.batch)[0]}
            negatives = self._model.draw_negatives(generator, step.count).to(self._device)
            scale = draw_scale(generator, step.count).to(self._device)
            return {"guided": self._denoiser.guided_loss(drawn.batch, negatives, scale)[0]}

    def export(self) -> Path:
        """Write it in half precision, under the names that diffusers gives the layers."""
        halves = get_peft_model_state_dict(self._model.unet, adapter_name="default")
        tensors = {f"unet.{name}": half.detach().half().contiguous() for name, half in halves.items()}
        file = self._folder / FILE
        save_file(tensors, file)
        return file


def weight_sheet(
    pipeline: StableDiffusionImg2ImgPipeline,
    photos: dict[str, Picture],
    weights: Sequence[float] = (0.0, 0.5, 1.0),
    strength: float = 0.7,
) -> Picture:
    """A row for each photo: the photo, then with its name in the prompt and without at weights in turn."""
    rows = []
    for name, photo in photos.items():
        row = [tile(photo, name)]
        for prompt in ("blueprint", ""):
            for weight in weights:
                pipeline.unet.set_adapters("default", weight)
                made = render(pipeline, photo, prompt, strength=strength)
                row.append(tile(made, f"{prompt or '(empty)'} {weight:g}"))
        rows.append(row)
    pipeline.unet.set_adapters("default", 1.0)
    return grid_sheet(rows)


def main(words: Sequence[str] | None = None) -> None:
    """Render the pairs and train."""
    given = command_line("lora", __doc__, words)
    device = torch.device(given.device)
    model = FrozenModel(given.model, device)
    render_pairs(
        given.out / "pairs",
        ShardPhotos(given.data / "shards"),
        as_blueprint,
        model.autoencoder,
        PAIRS,
        device,
    )
    pairs = Pairs(given.out / "pairs", model.tokenizer)
    plan = AdaptingPlan(minutes=given.minutes)
    photos = judged_photos(given.data / "downloads", 256)
    training = LoraTraining(model, pairs, given.out, plan, device, start=given.start_from)
    training.run({name: photos[name] for name in SHOWN_PHOTOS})


if __name__ == "__main__":
    main()
