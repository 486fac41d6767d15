"""The server that the fuzzers and the soak talk to, in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTENING = "Underpaint is listening on "
MOST_LOG_LINES = 2000


@dataclass
class ServerProcess:
    """A running server, and the last lines that it logged."""

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Lines of tracebacks and errors, which no request may cause."""
    started: threading.Event = field(default_factory=threading.Event)

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1"

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log = [*self.log[-MOST_LOG_LINES:], line]
            if LISTENING in line:
                self.url = line.split(LISTENING)[1].split()[0]
                self.started.set()
            if "Traceback (most recent call last)" in line or " ERROR" in line:
                self.failures.append(line)
        self.started.set()


def painting_server(folder: Path, **settings: object) -> AbstractContextManager[ServerProcess]:
    """A server whose engine paints plain colours at once."""
    return server_process(("tests.fuzz.program",), folder, **settings)


@contextmanager
def server_process(command: Sequence[str], folder: Path, **settings: object) -> Iterator[ServerProcess]:
    """A server without keys, on a free port, that fetches from nowhere. `command` is a module and its arguments."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("UNDERPAINT_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        "UNDERPAINT_DATA_DIR": str(folder),
        "UNDERPAINT_PORT": "0",
        "UNDERPAINT_EXECUTOR": "eager",
        # No request of a fuzzer leaves this machine, or waits for a look-up.
        "UNDERPAINT_FETCH_ALLOWED_HOSTS": "nowhere.invalid",
        "UNDERPAINT_DEFAULT_MODEL": "underpaint:1@2",
        **{f"UNDERPAINT_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = ServerProcess(process)
    reading = threading.Thread(target=server.read_log, daemon=True)
    reading.start()
    try:
        assert server.started.wait(120), "the server did not start"
        assert server.url, "".join(server.log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reading.join(10)
        if process.stderr is not None:
            process.stderr.close()
