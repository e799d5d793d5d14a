"""Django's mail backend, which knows afterwards whether the server may have a mail."""

import smtplib
import socket
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend


class Backend(EmailBackend):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # What there is of a conversation, from before it has begun.
        self.spoken: smtplib.SMTP | None = None
        # Whether all of the last mail was said, or about to be: then the server may have it.
        self.may_have_it = False
        self.is_lost = False
        self._partial_connection: smtplib.SMTP | None

    @property
    def connection_class(self) -> Any:
        return partial(_NotingTls if self.use_ssl else _Noting, self)

    def send(self, message: EmailMessage) -> None:
        """Send it over the connection that is open. Raises: OSError, ValueError."""
        self.may_have_it = False
        self.send_messages([message])

    def cut(self) -> None:
        """End the conversation from another thread, whatever it waits for."""
        sock = getattr(self.spoken, "sock", None)
        if sock:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """Let go of a conversation in which something went wrong, without another word."""
        self.is_lost = True
        for each in (self.connection, self._partial_connection, self.spoken):
            if each:
                each.close()
        self.connection = self._partial_connection = None

    def leave(self) -> None:
        """Take leave. What was sent was taken, whatever the server says to that."""
        with suppress(OSError):
            self.close()
        self.drop()


class _Noting(smtplib.SMTP):
    def __init__(self, backend: Backend, *args: Any, **options: Any) -> None:
        self.backend = backend
        backend.spoken = self
        super().__init__(*args, **options)

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.backend.may_have_it = True
        return super().data(msg)


class _NotingTls(_Noting, smtplib.SMTP_SSL):
    pass
