"""What a process manager of systemd's kind is told: that a process is ready, and that it lives.

A unit asks for it by `Type=notify` and `WatchdogSec=`; for anybody else nothing happens.
"""

import os
import socket


def notify(*states: str) -> None:
    """Send states such as READY=1, WATCHDOG=1 or STOPPING=1 to whoever started this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        # One that does not listen must not end what it watches.
        manager.setblocking(False)
        try:
            manager.sendto("\n".join(states).encode(), address.replace("@", "\0", 1))
        except OSError:
            return
