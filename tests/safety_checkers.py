"""Safety checkers with random weights, but for what makes them find a white picture unsafe and a black one not."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from underpaint.diffusion.encoded import Picture
from underpaint.diffusion.quiet import quiet_libraries

WHITE: Picture = np.full((64, 64, 3), 255, np.uint8)
BLACK: Picture = np.zeros((64, 64, 3), np.uint8)
_VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}


def write_classifier(
    folder: Path, *, labels: tuple[str, ...] = ("normal", "nsfw"), unsafe: str = "nsfw"
) -> Path:
    """An image classifier, which gives `unsafe` to white pictures and the first label to black ones."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    names = dict(enumerate(labels))
    torch.manual_seed(3)
    with quiet_libraries():
        network: Any = ViTForImageClassification(ViTConfig(**_VISION, id2label=names))
        processor: Any = ViTImageProcessor(size={"height": 32, "width": 32})
        index = labels.index(unsafe)
        with torch.no_grad():
            network.classifier.weight.mul_(20)
            white, black = (
                network(**processor(each, return_tensors="pt")).logits[0] for each in (WHITE, BLACK)
            )
            # Between both pictures lies what decides, whatever the weights are.
            network.classifier.weight[index] *= 1 if white[index] - white[0] > black[index] - black[0] else -1
            white, black = (
                network(**processor(each, return_tensors="pt")).logits[0] for each in (WHITE, BLACK)
            )
            network.classifier.bias[index] -= ((white + black)[index] - (white + black)[0]) / 2
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder


def write_concept_checker(folder: Path) -> Path:
    """The checker of Stable Diffusion, one of whose concepts is what it sees in a white picture."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    torch.manual_seed(3)
    with quiet_libraries():
        text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 10}
        network: Any = StableDiffusionSafetyChecker(
            CLIPConfig(vision_config=_VISION, text_config=text, projection_dim=8)
        )
        processor: Any = CLIPImageProcessor(size=32, crop_size=32)

        def seen(picture: Picture) -> torch.Tensor:
            pixels = processor(picture, return_tensors="pt").pixel_values
            embedding: torch.Tensor = network.visual_projection(network.vision_model(pixels)[1])[0]
            return torch.nn.functional.normalize(embedding, dim=0)

        with torch.no_grad():
            white, black = seen(WHITE), seen(BLACK)
            network.concept_embeds[0] = white
            # Nothing resembles anything more than entirely.
            network.concept_embeds_weights[:] = 1.5
            network.special_care_embeds_weights[:] = 1.5
            network.concept_embeds_weights[0] = (1 + float(white @ black)) / 2
        network.save_pretrained(folder)
        processor.save_pretrained(folder.parent / "feature_extractor")
    return folder
