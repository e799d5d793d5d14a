"""What a process manager of systemd's kind is told: that a process is ready, and that it lives.

A unit asks for it by `Type=notify` and `WatchdogSec=`; for anybody else nothing happens.
"""

import contextlib
import os
import socket


def notify(*states: str) -> None:
    """Send states such as READY=1, WATCHDOG=1 or STOPPING=1 to whoever started this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # One that does not listen must not end what it watches.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)
        manager.sendto("\n".join(states).encode(), address.replace("@", "\0", 1))
