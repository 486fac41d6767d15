"""What is where, by any segmenter of transformers' that was trained on ADE20K."""

import numpy as np
import torch
from PIL import Image

from underpaint.preprocessors.ade20k import PALETTE
from underpaint.preprocessors.networks import Network, NetworkUnusable
from underpaint.preprocessors.picture import Picture


@torch.inference_mode()
def segmentation(picture: Picture, network: Network) -> Picture:
    """Every kind of thing in its own colour, those of ADE20K, which ControlNets were trained with.

    Raises:
        NetworkUnusable: the network tells other kinds of things apart.
    """
    kinds = network.model.config.num_labels
    if kinds != len(PALETTE):
        raise NetworkUnusable(
            f"the network for segmentation tells {kinds} kinds of things apart, and not the {len(PALETTE)} of ADE20K"
        )
    inputs = network.processor(images=Image.fromarray(picture), return_tensors="pt")
    likely = network.model(**inputs).logits.float()
    size = picture.shape[:2]
    [whole] = torch.nn.functional.interpolate(likely, size, mode="bilinear", align_corners=False).argmax(
        dim=1
    )
    colors: Picture = PALETTE[whole.numpy()]
    return np.ascontiguousarray(colors)
