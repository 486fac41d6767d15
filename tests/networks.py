"""Small networks for preprocessors: the real classes of transformers', with random weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
import transformers

from underpaint.preprocessors.networks import NetworkName


def write_networks(folder: Path) -> Mapping[NetworkName, Path]:
    """One of each kind, in folders of their own."""
    torch.manual_seed(0)
    folders: dict[NetworkName, Path] = {
        name: folder / name for name in ("depth", "segmentation", "person", "pose")
    }
    depth = {
        "backbone_config": transformers.Dinov2Config(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
        ),
        "reassemble_hidden_size": 32,
        "neck_hidden_sizes": [8, 8, 16, 16],
        "fusion_hidden_size": 16,
        "head_hidden_size": 8,
    }
    resized = transformers.DPTImageProcessorPil(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True
    )
    transformers.DepthAnythingForDepthEstimation(transformers.DepthAnythingConfig(**depth)).save_pretrained(
        folders["depth"]
    )
    resized.save_pretrained(folders["depth"])

    segformer = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        num_labels=150,
    )
    transformers.SegformerForSemanticSegmentation(segformer).save_pretrained(folders["segmentation"])
    transformers.SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(
        folders["segmentation"]
    )

    yolos = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=5,
        id2label={0: "person", 1: "cat"},
        label2id={"person": 0, "cat": 1},
    )
    transformers.YolosForObjectDetection(yolos).save_pretrained(folders["person"])
    transformers.YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(
        folders["person"]
    )

    vitpose = transformers.VitPoseConfig(
        backbone_config=transformers.VitPoseBackboneConfig(
            image_size=[64, 48],
            patch_size=[16, 16],
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            out_indices=[2],
        ),
        id2label={joint: str(joint) for joint in range(17)},
        label2id={str(joint): joint for joint in range(17)},
    )
    transformers.VitPoseForPoseEstimation(vitpose).save_pretrained(folders["pose"])
    transformers.VitPoseImageProcessorPil(size={"height": 64, "width": 48}).save_pretrained(folders["pose"])
    return folders
