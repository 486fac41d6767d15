"""The page for somebody who opens the server's address in a browser. It loads nothing from anywhere."""

from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Underpaint</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }}
  code, pre {{ font-family: ui-monospace, monospace; background: #8881; padding: .1em .3em; }}
  pre {{ padding: .8rem; overflow-x: auto; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #16181d; color: #ddd; }} a {{ color: #8bf; }} }}
</style>
<h1>Underpaint {version}</h1>
<p>This server turns pictures into other pictures. It speaks the Runware task API: send a JSON array of tasks
by POST to this address, or over a WebSocket to the same address.</p>
<pre>[{{
  "taskType": "imageInference",
  "taskUUID": "&lt;a new UUID&gt;",
  "model": "underpaint:1@1",
  "positivePrompt": "a watercolour painting",
  "seedImage": "data:image/jpeg;base64,...",
  "strength": 0.7, "width": 512, "height": 512
}}]</pre>
<ul>
  <li><a href="https://runware.ai/docs/en/image-inference/image-to-image">The guide to image-to-image</a>,
  as this server implements it</li>
  <li><a href="/readyz">Is it ready?</a> · <a href="/metrics">Metrics</a></li>
  <li>On the machine that it runs on: <code>underpaint --help</code></li>
</ul>
</html>
"""


async def get_landing(request: Request) -> Response:
    """The page."""
    try:
        release = version("underpaint")
    except PackageNotFoundError:
        release = ""
    return HTMLResponse(
        _PAGE.format(version=release),
        headers={
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )
