"""Depth and what follows from it, by any depth estimator of transformers'."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from underpaint.preprocessors.networks import Network
from underpaint.preprocessors.picture import Picture, gray_map

_METRIC_TYPES = frozenset({"glpn", "zoedepth"})
"""Networks that say how far things are. The others say how near, in units of their own."""
NORMAL_FRONT = 0.8
"""Length of the component to the front: the greater, the flatter everything looks."""


def depth(picture: Picture, network: Network) -> Picture:
    """How near things are: white the nearest, black the farthest."""
    return gray_map(_nearness(picture, network) * 255)


def normals(picture: Picture, network: Network) -> Picture:
    """Which way surfaces face, from the slopes of the depth: red to the left, green to the top, blue to the front, as
    ControlNet's "normalbae" has it.
    """
    near = cv2.GaussianBlur(_nearness(picture, network), (0, 0), max(picture.shape[:2]) / 400)
    # Per side of the picture, so that its size does not matter.
    left = cv2.Sobel(near, cv2.CV_32F, 1, 0, scale=1 / 8) * near.shape[1] / 4
    top = cv2.Sobel(near, cv2.CV_32F, 0, 1, scale=1 / 8) * near.shape[0] / 4
    facing = np.stack([left, top, np.full_like(near, NORMAL_FRONT)], axis=2)
    facing /= np.linalg.norm(facing, axis=2, keepdims=True)
    colors: Picture = np.rint((facing * 0.5 + 0.5) * 255).astype(np.uint8)
    return colors


@torch.inference_mode()
def _nearness(picture: Picture, network: Network) -> NDArray[np.float32]:
    """(height, width), 0 to 1."""
    inputs = network.processor(images=Image.fromarray(picture), return_tensors="pt")
    found = network.model(**inputs).predicted_depth[0].float()
    config = network.model.config
    if config.model_type in _METRIC_TYPES or getattr(config, "depth_estimation_type", None) == "metric":
        found = 1 / found.clamp(min=1e-3)
    size = picture.shape[:2]
    [[whole]] = torch.nn.functional.interpolate(found[None, None], size, mode="bicubic", align_corners=False)
    low, high = whole.min(), whole.max()
    nearness: NDArray[np.float32] = ((whole - low) / (high - low).clamp(min=1e-12)).numpy()
    return nearness
