"""What all task models share: names on the wire, strictness, and the reading of numbers."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from underpaint.wire.parameters import (
    IGNORED_OUTSIDE_INFERENCE,
    IGNORED_PARAMETERS,
    UNSUPPORTED_OUTSIDE_INFERENCE,
)

_IRREGULAR_NAMES = {
    "task_uuid": "taskUUID",
    "webhook_url": "webhookURL",
    "connection_session_uuid": "connectionSessionUUID",
    "cfg_scale": "CFGScale",
    "check_nsfw": "checkNSFW",
    "ttl_s": "ttl",
    "default_cfg": "defaultCFG",
    "download_url": "downloadURL",
    "hero_image_url": "heroImageURL",
}


def wire_name(attribute: str) -> str:
    """The parameter's name on the wire: `seed_image` is `seedImage`, `cfg_scale` is `CFGScale`."""
    return _IRREGULAR_NAMES.get(attribute) or to_camel(attribute)


_TASK_UUID = re.compile(r"[A-Za-z0-9-]{1,64}")


def _task_uuid(value: str) -> str:
    if not _TASK_UUID.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits and hyphens")
    return value


def integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(integral)]
OptionalInteger = Annotated[int | None, BeforeValidator(integral)]
"""Integers, also when written as 30.0: JSON has one kind of number, and some writers give it a fraction."""


class WireModel(BaseModel):
    """A task as the wire has it: strict, immutable, and constructible by attribute name.

    Attributes:
        ignored: wire names accepted without effect, with the reason.
        unsupported: wire names refused unless they say nothing, with the reason.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=wire_name,
        validate_by_alias=True,
        validate_by_name=True,
        # An error must not drag a base64 picture into the log.
        hide_input_in_errors=True,
    )

    ignored: ClassVar[Mapping[str, str]] = {**IGNORED_PARAMETERS, **IGNORED_OUTSIDE_INFERENCE}
    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_OUTSIDE_INFERENCE

    @classmethod
    @cache
    def wire_names(cls) -> tuple[str, ...]:
        """The names of the parameters this task acts on, in documented order."""
        return tuple(wire_name(attribute) for attribute in cls.model_fields)

    @classmethod
    def fold(cls, parameters: dict[str, object]) -> dict[str, object]:
        """Bring the several ways to say one thing into one. Most task types have only one way.

        Raises:
            TaskError: two of the ways contradict each other, or one is malformed.
        """
        return parameters


class IdentifiedTask(WireModel):
    """A task that the client has given a UUID.

    Attributes:
        task_uuid: made by the client, echoed in every result and error. The API asks for UUID v4, but its own
            examples hold others, so up to 64 letters, digits and hyphens are accepted.
    """

    task_uuid: Annotated[str, AfterValidator(_task_uuid)] = Field(
        description="made by the client, echoed in every result and error",
        json_schema_extra={"pattern": f"^{_TASK_UUID.pattern}$"},
    )
