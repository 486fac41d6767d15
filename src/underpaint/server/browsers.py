"""Which web pages may talk to the server, and under which names it answers.

Any page that a person visits can send requests to `localhost` from inside their browser. Where a key is
required that is harmless: a page does not know the key, and browsers add none by themselves (there are no
cookies here). Where any key is accepted, it would let every web site use the machine, in two ways:

- *directly*: a POST with a plain content type needs no permission, and a WebSocket never does. Browsers do
  say where such a request comes from, in `Origin`, so pages that are not from this machine are refused by it.
  Programs that are no browsers send no `Origin`, and pass.
- *by DNS rebinding*: a page of `evil.example` lets its own name point to 127.0.0.1, and so becomes "same
  origin". Its requests carry that name in `Host`, so without keys only names of this machine are answered.

A proxy on this machine would do the same for anybody: what says that it was handed on is refused, too.

The content type of a POST is not a protection that is missing here: insisting on `application/json` would
stop only the first way, and break every `curl -d`.

For the pages that may, cross-origin access is allowed (CORS), because clients do run in browsers.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from underpaint.server.access import is_loopback

ALLOWED_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
ALLOWED_HEADERS = "Authorization, Content-Type, X-SDK-Name, X-SDK-Version"
PREFLIGHT_AGE_S = 600
HANDED_ON_BY = ("forwarded", "x-forwarded-for", "via")
"""Headers that proxies add."""


def why_refused(*, host: str | None, origin: str | None, handed_on: bool = False) -> str | None:
    """Why a request must not be answered while any key is accepted; None when it may be.

    Args:
        host: the `Host` header.
        origin: the `Origin` header; None for GET and HEAD of pages and pictures, which change nothing.
        handed_on: whether a proxy says that it sends it for somebody else (`HANDED_ON_BY`).
    """
    if handed_on:
        return (
            "This server has no keys, so it answers only programs of its own machine, and this request came through a "
            "proxy. Make a key with `underpaint keys add NAME`."
        )
    name = _hostname(f"//{host}") if host else None
    if name is None or not is_loopback(name):
        return (
            f"This server has no keys, so it answers only under names of its own machine such as localhost, "
            f"not under {host!r}. Make a key with `underpaint keys add NAME`."
        )
    if origin is None:
        return None
    origin_name = _hostname(origin)
    if origin_name is not None and is_loopback(origin_name):
        return None
    return (
        f"This server has no keys, so it does not answer web pages of other sites, such as {origin!r}. "
        f"Make a key with `underpaint keys add NAME` to use it from there."
    )


@lru_cache(maxsize=32)
def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
