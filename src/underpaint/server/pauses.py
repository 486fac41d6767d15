"""How long the event loop was kept from its work: everything that the server does waits for it.

A pause has two causes. This process takes long over something, in the loop's own thread or in one that holds the
interpreter, which is a fault of the program; or the machine is busy with others.
"""

import asyncio
import time

BEAT_S = 0.05
"""How often the loop is asked to come back."""


class PauseWatch:
    """Measures pauses for as long as `run` runs.

    Attributes:
        longest_s: by how much the loop was late, at most.
        longest_own_s: the same, counting of each pause only as much as this process used the processor meanwhile.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest_own_s = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            began_s, worked_s = time.monotonic(), time.process_time()
            await asyncio.sleep(BEAT_S)
            late_s = time.monotonic() - began_s - BEAT_S
            self.longest_s = max(self.longest_s, late_s)
            self.longest_own_s = max(self.longest_own_s, min(late_s, time.process_time() - worked_s))
