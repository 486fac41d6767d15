"""Where modelUpload may take a model from: a URL, a repository of the hub, or a folder of this machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from underpaint.images.fetch import host_matches
from underpaint.settings import Settings
from underpaint.wire import TaskError

_URL = re.compile(r"https?://", re.IGNORECASE)
_FILE_URL = "file://"
_REPOSITORY = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """On the hub."""

    name: str
    revision: str | None


def source_of(given: str, settings: Settings) -> str | Repository | Path:
    """What a task names as its `downloadURL`.

    Args:
        given: a URL; the id of a hub repository, `organization/name` or `organization/name@revision`; the absolute path
            of a safetensors file or a folder in the diffusers layout, also as a file:// URL.
        settings: what they allow: hosts (for a repository that of the hub), and folders.

    Returns:
        A URL as it is, a repository, or a path with no links left in it.

    Raises:
        TaskError: it is none of these, or not allowed.
    """
    if _URL.match(given):
        return given
    if given.startswith((_FILE_URL, "/")):
        return _path(given.removeprefix(_FILE_URL), settings)
    found = _REPOSITORY.fullmatch(given)
    if found is None:
        raise _refused("It is no URL, no id of a hub repository (organization/name), and no absolute path.")
    host = urlsplit(constants.ENDPOINT).hostname or ""
    if not any(entry == "*" or host_matches(host, entry) for entry in settings.model_upload_hosts):
        raise _refused(f"Models of the hub are taken where the setting model_upload_hosts allows {host}.")
    return Repository(name=found["name"], revision=found["revision"])


def _path(given: str, settings: Settings) -> Path:
    try:
        # Wherever links lead: from here on it is this path that is looked at.
        path = Path(given).resolve()
        allowed = any(path.is_relative_to(folder.resolve()) for folder in settings.model_upload_folders)
    except (OSError, ValueError, RuntimeError):
        allowed = False
    if not allowed:
        # The same whether it is there or not.
        raise _refused("It is in no folder that the setting model_upload_folders allows.")
    return path


def _refused(message: str) -> TaskError:
    return TaskError("invalidDownloadURL", message, parameter="downloadURL", type="string")
