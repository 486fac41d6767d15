"""The catalog's entries of what ships with the package: a model, and what acts upon it."""

from underpaint.catalog.entry import ModelDefaults, ModelEntry, ModelFiles
from underpaint.embedded import addition_dir, checkpoint_dir

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

EMBEDDED_LORA = ModelEntry(
    air="underpaint:lora@1",
    name="Blueprint",
    version="1",
    architecture="sd1x",
    category="lora",
    only_for=EMBEDDED.air,
    files=ModelFiles(form="file", location=str(addition_dir("lora@1") / "blueprint.safetensors")),
    tags=("underpaint", "embedded", "style"),
    comment=f"A style that {EMBEDDED.air} has no word for: white lines on blue paper.",
    trigger_words="blueprint",
)
"""A LoRA for the model that is always there."""

EMBEDDED_IP_ADAPTER = ModelEntry(
    air="underpaint:ip@1",
    name="Underpaint IP-Adapter",
    version="1",
    architecture="sd1x",
    category="ipadapter",
    only_for=EMBEDDED.air,
    files=ModelFiles(form="file", location=str(addition_dir("ip@1") / "ip-adapter.safetensors")),
    tags=("underpaint", "embedded", "style"),
    comment=f"For {EMBEDDED.air}: a guide image lends its palette and texture, not what it shows.",
)
"""An IP-Adapter for the model that is always there."""

ALWAYS_THERE = {entry.air: entry for entry in (EMBEDDED, EMBEDDED_LORA, EMBEDDED_IP_ADAPTER)}
"""By identifier: what nobody has to install, and nobody can replace."""

REPLACED = {"underpaint:1@1": EMBEDDED.air}
"""Embedded models that shipped with earlier releases, and what took the place of each."""
