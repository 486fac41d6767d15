"""Parameters that the API has and this server does not act on.

A parameter that would change the picture is refused, because a picture made without it is not the one that
was asked for. A parameter that would not is accepted and has no effect.
"""

from collections.abc import Mapping
from types import MappingProxyType

UNSUPPORTED_PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "resolution": "the size of the picture is given by width and height",
        "trueCFGScale": "only CFGScale guides the picture",
        "usePromptWeighting": "say which syntax the prompts have: promptWeighting",
        "advancedFeatures": "none of the advanced features is available",
        "layerDiffuse": "transparent pictures are not available",
        "hiresFix": "the high-resolution pass is not available",
        "hiresfix": "the high-resolution pass is not available",
        "watermark": "watermarks are not available",
        "lycoris": "LyCORIS models are not available",
        "puLID": "PuLID is not available",
        "pulid": "PuLID is not available",
        "acePlusPlus": "ACE++ is not available",
        "photoMaker": "PhotoMaker is not available",
        "instantID": "InstantID is not available",
        "ultralytics": "face refinement is not available",
        "upscaleFactor": "the size of the picture is given by width and height",
        "settings": "settings of single models are not available; use the parameters of the task",
        "providerSettings": "models of other providers are not available",
    }
)
"""imageInference parameters refused with the reason, unless what they are given says nothing."""

UNSUPPORTED_INPUTS: Mapping[str, str] = MappingProxyType(
    {
        "image": "give the picture to transform as seedImage",
        "images": "give the picture to transform as seedImage",
        "references": "give pictures to work after as referenceImages",
        "superResolutionReferences": "reference images of upscalers are not available",
        "fonts": "fonts are not available",
    }
)
"""Members of `inputs` refused with the reason, unless what they are given says nothing."""

IGNORED_PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "routing": "there is one server",
        "useCache": "equal requests give equal pictures in any case",
        "retry": "an option of the clients themselves",
        "customTaskUUID": "an option of the clients themselves",
        "skipResponse": "an option of the clients themselves",
        "includePayload": "an option of the clients themselves",
        "includeGenerationTime": "an option of the clients themselves",
    }
)
"""Parameters accepted without effect on every task, each with the reason why that is right."""

IGNORED_OUTSIDE_INFERENCE: Mapping[str, str] = MappingProxyType(
    {
        "deliveryMethod": "the answer is always immediate",
        "includeCost": "the task costs nothing",
        "numberResults": "the task has one answer",
    }
)
"""Parameters accepted without effect on every task that makes no picture, each with the reason why that is right.
imageInference, upscale and controlNetPreprocess act on them, or refuse them."""

UNSUPPORTED_OUTSIDE_INFERENCE: Mapping[str, str] = MappingProxyType(
    {"webhookURL": "the answer is always immediate"}
)
"""Parameters refused as `unsupportedParameter` on every task that makes no picture."""


def says_nothing(value: object) -> bool:
    """Whether a value amounts to leaving its parameter out: null, false, 0, empty, or made of nothing else.

    Clients write out whole structures with every member unset, and mean nothing by it.
    """
    # A stack and not recursion: what clients nest is of any depth.
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
        elif current:
            return False
    return True
