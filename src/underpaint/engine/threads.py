"""How the threads of a forward pass wait for each other.

A forward pass is thousands of short parallel loops, and by default OpenMP's threads spin between them for long. That is
right on an idle machine and ruinous on a shared one, where a spinning thread holds the core that the thread it waits
for needs. docs/decisions/005 has the figures.
"""

import os

SPINS = 10_000
"""Turns that a thread waits before it sleeps, some ten microseconds: as long as most of the loops take."""


def let_threads_sleep() -> None:
    """Make OpenMP's threads sleep after a short wait, unless the environment says otherwise.

    Acts on this process if torch is not loaded yet, and on the processes that it starts.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        # GCC's OpenMP, in PyTorch's builds for Linux: its own variable outweighs the policy.
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
