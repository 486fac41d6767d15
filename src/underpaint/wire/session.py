"""The two tasks of a connection itself. They have no taskUUID."""

from typing import Literal

from pydantic import Field

from underpaint.wire.fields import WireModel


class AuthenticationTask(WireModel):
    """Says who is asking.

    Attributes:
        api_key: the key; whether it is valid is not decided here.
        connection_session_uuid: of an earlier connection, whose undelivered results the client wants.
    """

    task_type: Literal["authentication"] = "authentication"
    api_key: str = Field(min_length=1, max_length=512, description="the API key")
    connection_session_uuid: str | None = Field(
        default=None, max_length=128, description="of an earlier connection, to get what it missed"
    )


class PingTask(WireModel):
    """Asks whether the connection lives."""

    task_type: Literal["ping"] = "ping"
    ping: bool = True
