"""The URL under which a client sees this server."""

import re

from starlette.requests import HTTPConnection

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def base_url(connection: HTTPConnection, public_url: str | None) -> str:
    """Without a trailing slash. Links to results start with it, so that whoever reached the server can follow
    them.

    Args:
        connection: the request, or the upgrade of a socket.
        public_url: the setting; where it is given, nothing else counts.
    """
    if public_url is not None:
        return public_url.rstrip("/")
    scheme = "https" if connection.scope["scheme"] in {"https", "wss"} else "http"
    host = connection.headers.get("host", "")
    if not _HOST.fullmatch(host):
        address, port = connection.scope["server"]
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{scheme}://{host}"
