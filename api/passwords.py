"""Hashing passwords, which costs half a second of a core on purpose: one at a time in a process.

Whoever asks meanwhile is refused at once. So a flood of passwords takes one of a process's threads
and one of the cores at most, and the shop goes on.
"""

import threading
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from api.errors import TOO_MANY_REQUESTS, Refusal

_hashing = threading.Lock()


class PasswordsBusy(Refusal):
    kind = TOO_MANY_REQUESTS
    code = "passwords_busy"
    detail = "Another password is being checked. Please try again in a moment."
    retry_after_seconds = 1


class OneAtATime(PBKDF2PasswordHasher):
    """Django's own hasher, through which goes whatever checks, sets or renews a password.

    Raises: PasswordsBusy.
    """

    def encode(self, *args: Any, **options: Any) -> str:
        if not _hashing.acquire(blocking=False):
            raise PasswordsBusy
        try:
            return super().encode(*args, **options)
        finally:
            _hashing.release()
