"""The preprocessors by the API's names: what each needs, and how it is run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from underpaint.preprocessors import lines, resampled
from underpaint.preprocessors.needs import NETWORKS_OF
from underpaint.preprocessors.networks import NetworkName, Networks
from underpaint.preprocessors.picture import Picture

_PLAIN: Mapping[str, Callable[[Picture], Picture]] = MappingProxyType(
    {
        "lineart": lines.lineart,
        "lineart_anime": lines.lineart_anime,
        "mlsd": lines.straight_lines,
        "scribble": lines.scribble,
        "shuffle": resampled.shuffle,
        "softedge": lines.softedge,
        "tile": resampled.tile,
    }
)
"""Those that need nothing but the picture."""


def guide_image(
    kind: str,
    picture: Picture,
    *,
    low: int,
    high: int,
    folders: Mapping[NetworkName, Path],
    networks: Networks,
) -> Picture:
    """What a preprocessor makes of a picture, of its size.

    Args:
        kind: a name of the API.
        picture: any.
        low: Canny's lower threshold, 0 to 255.
        high: Canny's upper threshold, more than `low`.
        folders: of the networks that `NETWORKS_OF` has for it.
        networks: those that are loaded.

    Raises:
        NetworkUnusable: a network cannot be used.
    """
    if kind in _PLAIN:
        return _PLAIN[kind](picture)
    if kind == "canny":
        return lines.canny(picture, low=low, high=high)
    # Only now: torch takes seconds to come.
    from underpaint.preprocessors import depth, pose, segmentation

    needed = {name: networks.get(name, folders[name]) for name in NETWORKS_OF[kind]}
    match kind:
        case "depth":
            return depth.depth(picture, needed["depth"])
        case "normalbae":
            return depth.normals(picture, needed["depth"])
        case "seg":
            return segmentation.segmentation(picture, needed["segmentation"])
        case "openpose":
            return pose.pose(picture, person=needed["person"], joints=needed["pose"])
        case _:
            raise ValueError(f"there is no preprocessor {kind!r}")
