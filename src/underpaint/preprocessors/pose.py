"""Poses of bodies as skeletons in OpenPose's colours, by a detector of people and ViTPose."""

import colorsys
import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from underpaint.preprocessors.networks import Network, NetworkUnusable
from underpaint.preprocessors.picture import Picture

LEAST_CERTAIN_PERSON = 0.5
LEAST_CERTAIN_JOINT = 0.3
MOST_PEOPLE = 20
_COCO_JOINTS = 17
# OpenPose's eighteen joints, from nose and neck to the ears, by COCO's; the neck is between the shoulders.
_FROM_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_LEFT_SHOULDER, _RIGHT_SHOULDER = 5, 6
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_COLORS = [tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue / 18, 1.0, 1.0)) for hue in range(18)]
_LIMB_OPACITY = 0.6


def pose(picture: Picture, *, person: Network, joints: Network) -> Picture:
    """Skeletons of the people in a picture, on black.

    Args:
        picture: any.
        person: finds people; its labels must have a "person".
        joints: finds the 17 joints of COCO within the box of a person.

    Raises:
        NetworkUnusable: one of the networks is of another kind.
    """
    drawn = np.zeros_like(picture)
    boxes = _people(picture, person)
    if boxes:
        for found in _joints(picture, boxes, joints):
            drawn = _with_skeleton(drawn, found)
    return drawn


@torch.inference_mode()
def _people(picture: Picture, network: Network) -> list[list[float]]:
    """Boxes of left, top, width and height in pixels, those of which the network is most certain first."""
    labels = {name.lower(): label for label, name in network.model.config.id2label.items()}
    if "person" not in labels:
        raise NetworkUnusable("the network for person knows no people")
    inputs = network.processor(images=Image.fromarray(picture), return_tensors="pt")
    size = picture.shape[:2]
    [found] = network.processor.post_process_object_detection(
        network.model(**inputs), threshold=LEAST_CERTAIN_PERSON, target_sizes=[size]
    )
    scored = [
        (float(score), [left, top, right - left, bottom - top])
        for score, label, (left, top, right, bottom) in zip(
            found["scores"], found["labels"].tolist(), found["boxes"].tolist(), strict=True
        )
        if label == labels["person"] and right > left and bottom > top
    ]
    scored.sort(key=lambda each: -each[0])
    return [box for _, box in scored[:MOST_PEOPLE]]


@torch.inference_mode()
def _joints(picture: Picture, boxes: list[list[float]], network: Network) -> list[NDArray[np.float64]]:
    """OpenPose's joints of every person, (18, 2) in pixels; not a number where one is not seen."""
    inputs = network.processor(Image.fromarray(picture), boxes=[boxes], return_tensors="pt")
    several = getattr(network.model.config.backbone_config, "num_experts", 1) > 1
    if several:
        # ViTPose+ has experts for several data sets; the first is COCO.
        inputs["dataset_index"] = torch.zeros(len(boxes), dtype=torch.int64)
    outputs = network.model(**inputs)
    [people] = network.processor.post_process_pose_estimation(outputs, boxes=[boxes])
    found = []
    for each in people:
        points = each["keypoints"].double().numpy().copy()
        if len(points) != _COCO_JOINTS:
            raise NetworkUnusable(
                f"the network for pose finds {len(points)} joints, and not the {_COCO_JOINTS} of COCO"
            )
        points[each["scores"].numpy() < LEAST_CERTAIN_JOINT] = np.nan
        neck = (points[_LEFT_SHOULDER] + points[_RIGHT_SHOULDER]) / 2
        found.append(np.stack([neck if joint is None else points[joint] for joint in _FROM_COCO]))
    return found


def _with_skeleton(drawn: Picture, joints: NDArray[np.float64]) -> Picture:
    width_px = max(2, round(max(drawn.shape[:2]) / 128))
    result = drawn.copy()
    for (first, second), color in zip(_LIMBS, _COLORS, strict=False):
        ends = joints[[first, second]]
        if np.isnan(ends).any():
            continue
        (x0, y0), (x1, y1) = ends
        center = (round((x0 + x1) / 2), round((y0 + y1) / 2))
        length, angle = math.hypot(x1 - x0, y1 - y0), math.degrees(math.atan2(y1 - y0, x1 - x0))
        limb = np.asarray(cv2.ellipse2Poly(center, (round(length / 2), width_px), round(angle), 0, 360, 1))
        shade = tuple(round(part * _LIMB_OPACITY) for part in color)
        cv2.fillConvexPoly(result, limb, shade)
    for (x, y), color in zip(joints, _COLORS, strict=True):
        if not (math.isnan(x) or math.isnan(y)):
            cv2.circle(result, (round(x), round(y)), width_px, color, thickness=-1)
    return result
