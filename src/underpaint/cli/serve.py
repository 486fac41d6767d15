"""`underpaint serve`."""

from underpaint.cli.options import ALL_SETTINGS, with_settings
from underpaint.settings import EffectiveSettings


@with_settings(*ALL_SETTINGS)
def serve(*, effective: EffectiveSettings) -> None:
    """Start the server: HTTP and WebSocket on / and /v1, pictures by URL, /healthz, /readyz and /metrics.

    On a loopback address and with no key configured, any key is accepted. `underpaint keys add NAME` makes one; from
    then on, on any other address, and behind a proxy, a valid key is required.
    """
    from underpaint.server.run import serve as serve_until_stopped

    serve_until_stopped(effective.settings)
