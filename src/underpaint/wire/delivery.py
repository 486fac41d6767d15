"""What every task that makes pictures says of how they are delivered."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from underpaint.wire.fields import IdentifiedTask, Integer, OptionalInteger

OutputType = Literal["URL", "base64Data", "dataURI"]
OutputFormat = Literal["JPG", "PNG", "WEBP"]
DeliveryMethod = Literal["sync", "async"]
PromptWeighting = Literal["compel", "sdEmbeds"]

_SPELLINGS = {
    name.casefold(): name for names in (OutputType, OutputFormat, PromptWeighting) for name in get_args(names)
} | {"jpeg": "JPG"}


def documented_spelling(value: object) -> object:
    return _SPELLINGS.get(value.casefold(), value) if isinstance(value, str) else value


def _distinct_output_types(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    distinct: list[object] = []
    for each in value:
        spelled = documented_spelling(each)
        if spelled not in get_args(OutputType):
            return (spelled,)
        if spelled not in distinct:
            distinct.append(spelled)
    return tuple(distinct) or ("URL",)


_OUTPUT_TYPE = {"type": "string", "enum": list(get_args(OutputType))}
OutputTypes = Annotated[
    tuple[OutputType, ...],
    BeforeValidator(_distinct_output_types),
    WithJsonSchema({"oneOf": [_OUTPUT_TYPE, {"type": "array", "items": _OUTPUT_TYPE}]}),
]
"""One form or several: the wire has a string or a list of them, and a task the list."""


def _http_url(value: str | None) -> str | None:
    if value is not None and not value.lower().startswith(("http://", "https://")):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value


OptionalUrl = Annotated[str | None, AfterValidator(_http_url)]


class PictureTask(IdentifiedTask):
    """A task that makes pictures.

    Attributes:
        delivery_method: whether the reply waits for the pictures.
        webhook_url: where each result is sent by POST as soon as it is there; the task is then answered at once.
        upload_endpoint: where the file of each result is sent by PUT.
        include_cost: whether results carry their cost.
        output_type: the forms in which each picture is returned.
        output_format: file format of the pictures.
        output_quality: of the encoder, 20 to 99.
        ttl_s: seconds until the picture's URL ends; None for the server's own rule.
        progress: whether a WebSocket connection is told how far the task is. An extension; accepted without
            effect over HTTP, where there is no way to tell.
        previews: whether it also gets small pictures of what is coming; implies `progress`. An extension.
    """

    delivery_method: DeliveryMethod = Field(
        default="sync", description="whether the reply waits for the pictures"
    )
    webhook_url: OptionalUrl = Field(
        default=None,
        max_length=2048,
        description="where each result is sent; the task is then answered at once",
    )
    upload_endpoint: OptionalUrl = Field(
        default=None, max_length=2048, description="where the file of each result is sent by PUT"
    )
    include_cost: bool = Field(default=False, description="whether results carry their cost")
    output_type: OutputTypes = Field(default=("URL",), description="the form of the results; one or a list")
    output_format: Annotated[OutputFormat, BeforeValidator(documented_spelling)] = Field(
        default="JPG", description="file format of the results, in any case"
    )
    output_quality: Integer = Field(default=95, ge=20, le=99, description="quality of the encoder")
    # The upper bound keeps the moment of expiry a date.
    ttl_s: OptionalInteger = Field(
        default=None, ge=60, le=2**31 - 1, description="seconds until the result's URL ends"
    )
    progress: bool = Field(
        default=False,
        description="whether a WebSocket client is told how far the task is; without effect over HTTP (extension)",
    )
    previews: bool = Field(
        default=False,
        description="whether it also gets small pictures of what is coming; implies progress (extension)",
    )

    @property
    def answered_at_once(self) -> bool:
        """Whether the reply is an acknowledgement that does not wait for the pictures."""
        return self.delivery_method == "async" or self.webhook_url is not None


ONE_RESULT = {"numberResults": "the task has one result"}
"""Refused of tasks that make one picture: more would be missed."""


def fold_delivery(parameters: dict[str, object]) -> None:
    """Drop what a task that makes one picture has written out but switched off, and that it is one."""
    for name in ("webhookURL", "uploadEndpoint"):
        if parameters.get(name) == "":
            del parameters[name]
    number = parameters.get("numberResults")
    if number == 1 and not isinstance(number, bool):
        del parameters["numberResults"]
