"""The official clients as the tests see them: a scenario script, its environment, and what it reports."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environments import HERE, NodeEnvironment, PythonEnvironment, node_environment, python_environment

RUN_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True)
class Report:
    """What happened to a client, scenario by scenario."""

    client: str
    scenarios: dict[str, dict[str, Any]]

    def outcome(self, scenario: str) -> dict[str, Any]:
        """Return what the client returned, and fail the test if it raised instead."""
        happened = self.scenarios[scenario]
        assert "error" not in happened, f"{self.client}, {scenario}: {happened['error']}"
        outcome: dict[str, Any] = happened["outcome"]
        return outcome

    def error(self, scenario: str) -> dict[str, Any]:
        """Return the error that reached the caller, and fail the test if there was none."""
        happened = self.scenarios[scenario]
        assert "error" in happened, f"{self.client}, {scenario}: no error, but {happened['outcome']}"
        error: dict[str, Any] = happened["error"]
        return error


@dataclass(frozen=True, kw_only=True)
class OfficialClient:
    """One client over one transport.

    Args:
        release: What the report must say it is: package name and version.
        script: The file in `scenarios/`.
        environment: Makes or finds the environment.
        leading_arguments: What the script wants before the address.
    """

    release: str
    script: str
    environment: Callable[[], PythonEnvironment | NodeEnvironment]
    leading_arguments: tuple[str, ...] = ()

    def run(self, url: str, key: str, photo: Path, scratch: Path, *scenarios: str) -> Report:
        """Run `scenarios` (none named: all) against the server at `url`, each on a connection of its own."""
        finished = run_script(
            self.environment(),
            HERE / "scenarios" / self.script,
            [*self.leading_arguments, url, key, str(photo), *scenarios],
            scratch,
        )
        assert finished.returncode == 0, f"{self.script} failed:\n{finished.stdout}\n{finished.stderr}"
        document = json.loads(finished.stdout)
        return Report(client=document["client"], scenarios=document["scenarios"])


def run_script(
    environment: PythonEnvironment | NodeEnvironment,
    script: Path,
    arguments: list[str],
    scratch: Path,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a Python or JavaScript file in the folder `scratch`, as a person who has installed the client."""
    if isinstance(environment, NodeEnvironment):
        # Node.js looks for packages beside the importing file.
        script = copy_beside_packages(script, environment, scratch)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNWARE_", "UNDERPAINT_", "PYTHON"))
    }
    return subprocess.run(
        environment.command(script, *arguments),
        cwd=scratch,
        # A proxy of this machine must not be asked for its own loopback address.
        env={**inherited, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **variables},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )


def copy_beside_packages(script: Path, environment: NodeEnvironment, scratch: Path) -> Path:
    """Copy `script` into `scratch` and let the packages of `environment` appear there."""
    packages = scratch / "node_modules"
    if not packages.exists():
        packages.symlink_to(environment.packages, target_is_directory=True)
    copy = scratch / script.name
    copy.write_bytes(script.read_bytes())
    return copy


OFFICIAL_CLIENTS = {
    "runware": OfficialClient(
        release="runware 0.5.24",
        script="python_runware.py",
        environment=lambda: python_environment("runware"),
    ),
    "runware-sdk-rest": OfficialClient(
        release="runware-sdk 1.8.0",
        script="python_runware_sdk.py",
        environment=lambda: python_environment("runware-sdk"),
        leading_arguments=("rest",),
    ),
    "runware-sdk-websocket": OfficialClient(
        release="runware-sdk 1.8.0",
        script="python_runware_sdk.py",
        environment=lambda: python_environment("runware-sdk"),
        leading_arguments=("websocket",),
    ),
    "sdk-js": OfficialClient(
        release="@runware/sdk-js 1.3.2",
        script="javascript_sdk.mjs",
        environment=node_environment,
    ),
    "ai-sdk-provider": OfficialClient(
        release="@runware/ai-sdk-provider 2.0.0",
        script="javascript_ai_sdk.mjs",
        environment=node_environment,
    ),
}
