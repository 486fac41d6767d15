"""How the tensors of a LoRA are called, as far as that tells whether it can be used. Importing this loads no torch."""

from collections.abc import Iterable

OTHER_METHODS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "LoCon with a Tucker core",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "oft_": "OFT",
    "glora": "GLoRA",
    "diff_b": "full differences",
}
"""Parts of names that belong to methods which change a layer otherwise than by one low-rank product."""


def other_method(names: Iterable[str]) -> str | None:
    """The method that the tensors of a file belong to; None where they are plain LoRA."""
    names = list(names)
    return next(
        (method for part, method in OTHER_METHODS.items() if any(part in name for name in names)), None
    )
