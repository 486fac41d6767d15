"""The HTTP and WebSocket face of Underpaint.

`app.create_app` makes the ASGI application, `run.serve` runs it. Nothing is imported here, since the command
line manages keys without the rest.
"""
