"""Secrets of our own, and signatures with them.

A file holds one secret on each line, made at the first use. What is signed is signed with every one of them, and what
is checked is good if any fits: to change a secret, add the new one as the first line, and remove the old one later.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


class SecretsUnreadable(RuntimeError):
    """The file of secrets holds something else. The message names the file and never what is in it."""


def read_secrets(path: Path) -> list[bytes]:
    """The secrets of a file, the newest first; the file is made, readable for its owner only, where there is none.

    Raises:
        SecretsUnreadable: it holds something else, or nothing.
        OSError: it cannot be read or made.
    """
    if not path.exists():
        _make(path)
    lines = [line.strip() for line in path.read_text("ascii", "replace").splitlines()]
    try:
        found = [base64.b64decode(line.removeprefix(SECRET_PREFIX), validate=True) for line in lines if line]
    except ValueError:
        found = []
    if not found or min(map(len, found)) < 16:
        raise SecretsUnreadable(
            f"{path} must hold secrets of at least 16 bytes in base64, one on each line, after '{SECRET_PREFIX}'"
        )
    return found


def signature(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(secret, message, hashlib.sha256)


def webhook_headers(
    secrets_: list[bytes], *, delivery_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Identifier, time and signatures in the headers of the Standard Webhooks specification.

    See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the signed
    message is `id.timestamp.body`, and the header lists one signature for each secret, separated by spaces.
    """
    message = f"{delivery_id}.{timestamp_s}.".encode() + body
    signatures = ["v1," + base64.b64encode(signature(secret, message)).decode("ascii") for secret in secrets_]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii") + "\n"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A link and not a rename: of two processes that make one at the same time, the first is right.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
