"""Guide images by networks: transformers' own classes, with random weights, and maps of what they are made to say."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from underpaint.preprocessors import depth, pose, segmentation
from underpaint.preprocessors.ade20k import PALETTE
from underpaint.preprocessors.kinds import guide_image
from underpaint.preprocessors.needs import NETWORKS_OF
from underpaint.preprocessors.networks import Network, NetworkName, Networks, NetworkUnusable
from underpaint.preprocessors.picture import Picture

Folders = Mapping[NetworkName, Path]


@pytest.mark.parametrize("kind", sorted(NETWORKS_OF))
def test_networks_are_loaded_and_give_a_map_of_the_pictures_size(
    kind: str, folders: Folders, example: Picture
) -> None:
    networks = Networks()
    wanted = {name: folders[name] for name in NETWORKS_OF[kind]}
    first = guide_image(kind, example, low=0, high=1, folders=wanted, networks=networks)
    again = guide_image(kind, example, low=0, high=1, folders=wanted, networks=networks)
    assert first.shape == example.shape
    assert first.dtype == np.uint8
    assert (first == again).all()


def slope(rows: int, columns: int, *, to_right: float, to_bottom: float, model_type: str = "dpt") -> Network:
    """A network that sees a plane, nearer to one side."""
    y, x = torch.meshgrid(torch.linspace(0, 1, rows), torch.linspace(0, 1, columns), indexing="ij")
    seen = (2 + x * to_right + y * to_bottom)[None]

    def model(**inputs: Any) -> Any:
        return SimpleNamespace(predicted_depth=seen)

    model.config = SimpleNamespace(model_type=model_type)  # type: ignore[attr-defined]
    return Network(model=model, processor=lambda images, return_tensors: {})


@pytest.mark.parametrize(("model_type", "nearest"), [("dpt", -1), ("zoedepth", 0)])
def test_what_is_near_is_white_whether_a_network_says_how_near_or_how_far(
    model_type: str, nearest: int
) -> None:
    network = slope(30, 30, to_right=1.0, to_bottom=0.0, model_type=model_type)
    column = depth.depth(np.zeros((60, 60, 3), np.uint8), network)[30, :, 0]
    assert column[nearest] == 255
    assert column[-1 - nearest] == 0


@pytest.mark.parametrize(
    ("to_right", "to_bottom", "channel", "more"),
    [(1.0, 0.0, 0, True), (-1.0, 0.0, 0, False), (0.0, 1.0, 1, True), (0.0, -1.0, 1, False)],
)
def test_normals_are_red_to_the_left_green_to_the_top_and_blue_to_the_front(
    to_right: float, to_bottom: float, channel: int, more: bool
) -> None:
    picture = np.zeros((60, 60, 3), np.uint8)
    network = slope(30, 30, to_right=to_right, to_bottom=to_bottom)
    middle = depth.normals(picture, network)[20:40, 20:40].reshape(-1, 3).mean(axis=0)
    assert (middle[channel] > 140) if more else (middle[channel] < 115)
    assert abs(middle[1 - channel] - 128) < 3
    assert middle[2] > 200


def test_kinds_of_things_have_the_colors_of_ade20k(folders: Folders, example: Picture) -> None:
    colors = segmentation.segmentation(example, Networks().get("segmentation", folders["segmentation"]))
    assert {tuple(color) for color in colors.reshape(-1, 3).tolist()} <= {tuple(c) for c in PALETTE.tolist()}
    # What ControlNet's annotators have for wall, sky, tree and person.
    assert PALETTE[[0, 2, 4, 12]].tolist() == [[120, 120, 120], [6, 230, 230], [4, 200, 3], [150, 5, 61]]


def test_a_network_that_tells_other_things_apart_is_refused(folders: Folders, example: Picture) -> None:
    network = Networks().get("segmentation", folders["segmentation"])
    network.model.config.num_labels = 19
    with pytest.raises(NetworkUnusable, match="19 kinds"):
        segmentation.segmentation(example, network)


def test_no_people_no_skeleton(folders: Folders, example: Picture) -> None:
    networks = Networks()
    person, joints = networks.get("person", folders["person"]), networks.get("pose", folders["pose"])
    # Random weights are certain of nothing.
    assert pose.pose(example, person=person, joints=joints).max() == 0


def test_a_skeleton_has_openposes_colors_where_its_joints_are(
    folders: Folders, example: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = Networks()
    person, joints = networks.get("person", folders["person"]), networks.get("pose", folders["pose"])
    monkeypatch.setattr(pose, "LEAST_CERTAIN_PERSON", 0.0)
    monkeypatch.setattr(person.model.config, "id2label", {0: "cat", 1: "person"})
    # In COCO's order; a person who faces us has the right side on the left. The right ankle is not seen.
    seen = torch.tensor(
        [(160, 30), (166, 24), (154, 24), (172, 28), (148, 28), (190, 60), (130, 60), (200, 90), (120, 90),
         (205, 120), (115, 120), (180, 120), (140, 120), (182, 160), (138, 160), (184, 200), (136, 200)],
        dtype=torch.float32,
    )  # fmt: skip
    scores = torch.ones(17)
    scores[16] = 0.1
    said = [[{"keypoints": seen, "scores": scores}]]
    monkeypatch.setattr(joints.processor, "post_process_pose_estimation", lambda *args, **options: said)
    drawn = pose.pose(example, person=person, joints=joints)
    assert drawn[30, 160].tolist() == [255, 0, 0]
    assert drawn[60, 160].tolist() == [255, 85, 0]
    assert drawn[60, 130].tolist() == [255, 170, 0]
    assert drawn[60, 190].tolist() == [85, 255, 0]
    assert drawn[200, 136].tolist() == [0, 0, 0]
    assert drawn[180, 183].max() > 100
    assert drawn[180, 137].max() == 0


def test_files_that_are_not_usable_are_refused_in_words(folders: Folders, tmp_path: Path) -> None:
    networks = Networks()
    pickled = tmp_path / "pickled"
    shutil.copytree(folders["depth"], pickled)
    weights = pickled / "model.safetensors"
    torch.save(torch.zeros(1), pickled / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(NetworkUnusable, match="pickled cannot be used for depth"):
        networks.get("depth", pickled)

    lacking = tmp_path / "lacking"
    shutil.copytree(folders["depth"], lacking)
    config = json.loads((lacking / "config.json").read_text("utf-8"))
    config["backbone_config"]["num_hidden_layers"] = 6
    config["backbone_config"]["stage_names"] = ["stem", *(f"stage{number}" for number in range(1, 7))]
    (lacking / "config.json").write_text(json.dumps(config))
    with pytest.raises(NetworkUnusable, match="lack"):
        networks.get("depth", lacking)

    with pytest.raises(NetworkUnusable, match="cannot be used for depth"):
        networks.get("depth", folders["segmentation"])
    with pytest.raises(NetworkUnusable, match="nowhere"):
        networks.get("depth", tmp_path / "nowhere")
