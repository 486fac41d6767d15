"""Links to stored pictures: by default whoever knows one can read the picture; by setting only for a time, if signed.

A signed link ends in `?expires=UNIX&signature=...`, an HMAC-SHA256 over name and time. Only who has the secret can make
one: asking again for a result gives a fresh one, and adding a secret to the file changes the one that signs.
"""

import base64
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

from underpaint.settings import Settings
from underpaint.studio.signing import SecretsUnreadable, read_secrets, signature
from underpaint.wire import TaskError

log = logging.getLogger(__name__)

URL_SECRETS = "url-secrets"
"""File in the data folder."""
SECRETS_AGE_S = 5.0
"""A changed file of secrets takes effect after this time."""


class Links:
    """Makes links that bear no signature."""

    def url(self, base_url: str, image_uuid: str, extension: str) -> str:
        """Where a stored picture can be fetched."""
        return f"{base_url}/images/{image_uuid}.{extension}"

    def check(self, image_uuid: str, extension: str, *, expires: str, signed: str) -> float | None:
        """Whether a link leads to the picture.

        Args:
            image_uuid: of the picture.
            extension: of its file.
            expires: the link's `expires`, "" where it has none.
            signed: its `signature`, likewise.

        Returns:
            For how many seconds it does; None for as long as there is the picture.

        Raises:
            TaskError: it does not.
        """
        return None


class SignedLinks(Links):
    """Makes links that bear one, and follows no other.

    Args:
        secrets_path: the file of the secrets, as `signing` has it.
        ttl_s: seconds for which a link leads to its picture.
        clock: Unix time.

    Raises:
        SecretsUnreadable: the file holds something else.
        OSError: it cannot be read or made.
    """

    def __init__(self, *, secrets_path: Path, ttl_s: float, clock: Callable[[], float] = time.time) -> None:
        self._path = secrets_path
        self._ttl_s = ttl_s
        self._clock = clock
        self._secrets = read_secrets(secrets_path)
        self._read_s = time.monotonic()

    def url(self, base_url: str, image_uuid: str, extension: str) -> str:
        """See `Links.url`."""
        expires = str(int(self._clock() + self._ttl_s))
        signed = _signature(self._current_secrets()[0], image_uuid, extension, expires)
        return f"{super().url(base_url, image_uuid, extension)}?expires={expires}&signature={signed}"

    def check(self, image_uuid: str, extension: str, *, expires: str, signed: str) -> float | None:
        """See `Links.check`."""
        given, good = signed.encode("utf-8", "replace"), False
        for secret in self._current_secrets():
            made = _signature(secret, image_uuid, extension, expires)
            good |= hmac.compare_digest(made.encode("ascii"), given)
        if not good:
            raise _refused("The link bears no valid signature")
        # What was signed was made here, and is a number.
        left_s = int(expires) - self._clock()
        if left_s <= 0:
            raise _refused("The link has expired")
        return left_s

    def _current_secrets(self) -> list[bytes]:
        if time.monotonic() - self._read_s > SECRETS_AGE_S:
            self._read_s = time.monotonic()
            try:
                self._secrets = read_secrets(self._path)
            except (SecretsUnreadable, OSError) as failure:
                log.error("links are signed with the secrets that were there before: %s", failure)
        return self._secrets


def links_by(settings: Settings) -> Links:
    """The links that the settings ask for. Raises as `SignedLinks` does."""
    if not settings.sign_urls:
        return Links()
    return SignedLinks(secrets_path=settings.data_dir / URL_SECRETS, ttl_s=settings.signed_url_ttl_s)


def _signature(secret: bytes, image_uuid: str, extension: str, expires: str) -> str:
    message = f"{image_uuid}.{extension}\n{expires}".encode("utf-8", "replace")
    return base64.urlsafe_b64encode(signature(secret, message)).rstrip(b"=").decode("ascii")


def _refused(reason: str) -> TaskError:
    return TaskError("insufficientPermissions", f"{reason}: getResponse gives a new link to each result.")
