"""A real server, started the way a user starts it: the `underpaint` command in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Self

START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 30


class ServerFailed(Exception):
    """The server did not start or did not stop as it should. The message holds its log."""


@dataclass(kw_only=True)
class ServerProcess:
    """A running `underpaint serve`, usable as a context manager.

    Args:
        folder: Where its data and its log lie.
        port: To listen on; 0 for any that is free.
    """

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """What a client takes as its base address for HTTP."""
        return f"{self.url}/v1"

    @property
    def websocket_url(self) -> str:
        """What a client takes as its base address for WebSocket."""
        return f"ws://127.0.0.1:{self.port}/v1"

    @property
    def data_folder(self) -> Path:
        """The server's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """Everything the server has printed so far."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start it, also again after its end: on the same port, with the same data.

        Raises:
            ServerFailed: It was not ready in time.
        """
        self.port = self.port or unused_port()
        command = underpaint(
            "serve", "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", str(self.data_folder),
            "--alias", "runware:101@1=underpaint:1@2",
            # What different clients get is compared, and a compiled model would take over between two of them.
            "--executor", "eager",
        )  # fmt: skip
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=own_variables(), cwd=self.folder
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        process = self.running()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(
                f"still running {STOP_TIMEOUT_S} s after SIGTERM; its log:\n{self.log}"
            ) from None
        if status not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            raise ServerFailed(f"ended with status {status}; its log:\n{self.log}")

    def running(self) -> subprocess.Popen[bytes]:
        """Return the process.

        Raises:
            ServerFailed: It was never started, or has ended by itself.
        """
        if self.process is None or self.process.poll() is not None:
            raise ServerFailed(f"the server is not running; its log:\n{self.log}")
        return self.process

    def wait_until_ready(self) -> None:
        """Ask `/readyz` until it answers 200.

        Raises:
            ServerFailed: The process ended, or was not ready in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self.running()
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as reply:
                    if reply.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.1)
        raise ServerFailed(f"not ready after {START_TIMEOUT_S} s; its log:\n{self.log}")


def underpaint(*arguments: str) -> list[str]:
    """Return the command line of the installed `underpaint` command."""
    return [str(Path(sys.executable).with_name("underpaint")), *arguments]


def own_variables() -> dict[str, str]:
    """Return the environment variables of a user who has configured nothing."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("UNDERPAINT_", "RUNWARE_"))
    }


def unused_port() -> int:
    """Return a TCP port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
