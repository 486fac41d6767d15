"""IP-Adapters: pictures that lead a picture beside its prompt."""

from typing import Literal

from pydantic import Field

from underpaint.wire.air import ModelIdentifier
from underpaint.wire.errors import TaskError
from underpaint.wire.fields import WireModel
from underpaint.wire.violations import fold_list

MAX_IP_ADAPTERS = 8
"""That one task may name."""
MAX_GUIDE_IMAGES = 8
"""Of one of them."""

CombineMethod = Literal["concat", "add", "subtract", "average", "norm_average"]
EmbedScaling = Literal["kv", "only_v", "kv_penalty_c", "k_mean_v_penalty_c"]
WeightType = Literal[
    "normal",
    "ease_in",
    "ease_out",
    "ease_in_out",
    "weak_input",
    "weak_output",
    "weak_middle",
    "strong_middle",
    "style_transfer",
    "composition",
    "strong_style_transfer",
    "style_and_composition",
    "strong_style_and_composition",
]


class IPAdapter(WireModel):
    """A model that lets pictures lead the task's own, and those pictures.

    Attributes:
        model: AIR identifier, in its short form.
        guide_image: the picture: UUID, data URI, bare base64 or URL.
        guide_images: several, 1 to 8; after `fold` always these, and no `guide_image`.
        weight: how strongly they lead, -1 to 1.
        combine_method: what becomes of several pictures.
        embed_scaling: what the weight acts upon: keys and values, or values only.
        weight_type: how the weight is spread over the layers of the task's model.
        weight_composition: weight of the layers of composition, 0 to 1; only read where the weight type has both style
            and composition.
    """

    model: ModelIdentifier = Field(description="AIR identifier")
    guide_image: str | None = Field(
        default=None, min_length=1, description="the picture that leads: UUID, data URI, bare base64 or URL"
    )
    guide_images: tuple[str, ...] = Field(
        default=(), max_length=MAX_GUIDE_IMAGES, description="several of them, in place of guideImage"
    )
    weight: float = Field(default=1.0, ge=-1, le=1, description="how strongly they lead")
    combine_method: CombineMethod = Field(
        default="concat", description="what becomes of several pictures: all are seen, or a mixture of them"
    )
    embed_scaling: EmbedScaling = Field(
        default="kv",
        description="what the weight acts upon: keys and values of the attention, or values only",
    )
    weight_type: WeightType = Field(
        default="normal", description="how the weight is spread over the layers of the model"
    )
    weight_composition: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="weight of the layers of composition, with a weightType of style and composition",
    )


def fold_ip_adapters(parameters: dict[str, object]) -> None:
    """Bring the two ways to give guide images into one.

    Raises:
        TaskError: one of them has none, or two that contradict each other.
    """
    fold_list(parameters, "ipAdapters", IPAdapter)
    given = parameters.get("ipAdapters")
    if not isinstance(given, tuple):
        return
    parameters["ipAdapters"] = tuple(
        _with_guide_images(each, f"ipAdapters[{index}]") if isinstance(each, dict) else each
        for index, each in enumerate(given)
    )


def _with_guide_images(adapter: dict[str, object], name: str) -> dict[str, object]:
    one, several = adapter.get("guideImage"), adapter.get("guideImages")
    if isinstance(several, list):
        several = tuple(several)
    if several in (None, ()):
        if one in (None, ""):
            raise TaskError(
                "missingIpAdaptersGuideImage",
                f"'{name}.guideImage' is required, or '{name}.guideImages': the picture that leads.",
                parameter=f"{name}.guideImage",
                type="string",
            )
        several = (one,)
    elif one is not None and several != (one,):
        raise TaskError(
            "incompatibleParameters",
            f"'{name}.guideImage' and '{name}.guideImages' are different pictures; give one of them.",
            parameter=[f"{name}.guideImage", f"{name}.guideImages"],
        )
    # A picture that is no text is another error's affair, under the name by which it came.
    if not isinstance(one, str) and one is not None:
        return adapter
    return {**{key: value for key, value in adapter.items() if key != "guideImage"}, "guideImages": several}
