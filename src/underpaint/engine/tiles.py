"""Pictures that are worked on in overlapping tiles."""

from underpaint.diffusion.latent_tiles import LatentTiles
from underpaint.engine.messages import JobRequest

TILE_OVERLAP = 4
"""Tiles share this fraction of their side with the next one, at least: a quarter."""


def tiles_of(request: JobRequest, *, pixels_per_latent: int = 1) -> LatentTiles | None:
    """The tiles of a picture, measured in latents, or by default in pixels; None where it is worked on whole."""
    if request.tile_px is None:
        return None
    return LatentTiles(
        height=request.height_px // pixels_per_latent,
        width=request.width_px // pixels_per_latent,
        side=request.tile_px // pixels_per_latent,
        overlap=request.tile_px // TILE_OVERLAP // pixels_per_latent,
    )
