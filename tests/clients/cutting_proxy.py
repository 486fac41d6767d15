"""A network that fails once, in the middle of a task."""

import contextlib
import functools
import select
import socket
import threading
from collections.abc import Callable
from typing import Self

# More than the handshake and the authentication, less than a task with a photo inside.
BYTES_OF_A_TASK = 50_000
# The client has sent its whole task when nothing more came for this long.
QUIET_S = 0.3


class CuttingProxy:
    """Passes TCP connections on to a server, and cuts the first one over which a task was sent.

    The cut is what a client sees when its network goes away: the stream ends without a WebSocket close frame.

    Args:
        port: The server's port on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self.server = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.cut = threading.Event()
        self.open: list[socket.socket] = []
        self.threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The address that a client must use, without a path."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return len(self.threads) - 1

    def __enter__(self) -> Self:
        self.start(self.accept)
        return self

    def __exit__(self, *raised: object) -> None:
        end(self.listener, *self.open)
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def start(self, work: Callable[[], None]) -> None:
        """Do `work` in a thread that ends with the proxy."""
        thread = threading.Thread(target=work)
        self.threads.append(thread)
        thread.start()

    def accept(self) -> None:
        """Serve connections until the listener is ended."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            self.open += [client, server]
            self.start(functools.partial(self.carry, client, server))

    def carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry one connection until either side ends it, or it is the one to cut."""
        with client, server:
            down = threading.Thread(target=send_down, args=(client, server))
            down.start()
            with contextlib.suppress(OSError):
                self.send_up(client, server)
            end(client, server)
            down.join()

    def send_up(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the client says. Returns when it is silent after its first task, or has ended."""
        passed = 0
        while True:
            readable, _, _ = select.select([client], [], [], QUIET_S)
            if readable:
                content = client.recv(65536)
                if not content:
                    return
                server.sendall(content)
                passed += len(content)
            elif passed > BYTES_OF_A_TASK and not self.cut.is_set():
                self.cut.set()
                return


def send_down(client: socket.socket, server: socket.socket) -> None:
    """Pass on what the server says, until it ends."""
    with contextlib.suppress(OSError):
        while content := server.recv(65536):
            client.sendall(content)
    end(client, server)


def end(*sockets: socket.socket) -> None:
    """End both directions of every socket, which wakes whoever waits on it."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
