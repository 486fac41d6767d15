"""The catalog's entry of the model that ships with the package."""

from underpaint.catalog.entry import ModelDefaults, ModelEntry, ModelFiles
from underpaint.embedded import checkpoint_dir

EMBEDDED = ModelEntry(
    air="underpaint:1@2",
    name="Underpaint",
    version="2",
    architecture="sd1x",
    files=ModelFiles(form="folder", location=str(checkpoint_dir("1@2"))),
    defaults=ModelDefaults(width_px=512, height_px=512, steps=24, guidance_scale=7.0, strength=0.6),
    tags=("underpaint", "embedded", "style", "image-to-image", "tiny"),
    comment="The tiny model that ships with Underpaint: restyles photos, fast on a CPU; it cannot draw things.",
    good_for="restyling photos at strength 0.3 to 0.8; see its model card for what it cannot do",
)
"""The model that is always there."""

REPLACED = {"underpaint:1@1": EMBEDDED.air}
"""Embedded models that shipped with earlier releases, and what took the place of each."""
