"""What the log writes, at whatever length it came, and by whichever thread."""

import fcntl
import io
import json
import logging
import os
import select
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from config import logs
from config.logs import LENGTH_MAX, TRACEBACK_LENGTH_MAX, shortened
from tests.logged import lines, logged, logged_to
from tests.test_supervisor import wait_for

_log = logging.getLogger("of.requests")


def tell(number: int) -> None:
    logs.tell(_log, logging.INFO, "request", {"number": number})


def test_t39_what_a_caller_chose_is_cut_and_its_end_is_kept():
    line = shortened(None, "", {"event": "a" * 390_000 + "end", "path": ["b" * 5_000], "n": 5})

    assert len(line["event"]) < LENGTH_MAX + 50
    assert line["event"].endswith("end")
    assert len(line["path"]) < LENGTH_MAX + 50
    assert line["n"] == 5


def test_a_traceback_may_be_longer():
    line = shortened(None, "", {"event": "broke", "exception": "x" * 100_000 + "ValueError"})

    assert LENGTH_MAX < len(line["exception"]) < TRACEBACK_LENGTH_MAX + 50
    assert line["exception"].endswith("ValueError")


def test_a_line_of_a_usual_length_stays_as_it_is():
    line = {"event": "order_paid", "order": None, "amount": 1250, "who": ("a", 1)}

    assert shortened(None, "", dict(line)) == line


def test_lines_that_are_written_apart_are_all_there_at_the_end_with_the_time_of_each():
    with logged() as written, logs.written_apart():
        before = datetime.now(UTC)
        for number in range(1_000):
            tell(number)
        after = datetime.now(UTC)
        assert written.getvalue() == ""

    told = lines(written, event="request")
    assert [line["number"] for line in told] == list(range(1_000))
    times = [datetime.fromisoformat(line["timestamp"]) for line in told]
    # To the microsecond of what the clock of the record says.
    assert before.timestamp() - 0.001 <= times[0].timestamp() <= times[-1].timestamp()
    assert times[-1].timestamp() <= after.timestamp() + 0.001


def test_a_line_is_written_apart_a_moment_later_and_without_anybody_s_help():
    written = io.StringIO()
    with logged_to(written), logs.written_apart():
        for number in range(3):
            tell(number)
            wait_for(lambda told=number: f'"number": {told}' in written.getvalue(), 30)


def test_nobody_who_is_answered_waits_for_whoever_reads_the_lines(monkeypatch):
    monkeypatch.setattr(logs, "KEPT_MAX", 2_000)
    found: list[dict[str, Any]] = []
    reading, writing = os.pipe()
    with open(reading) as reader, open(writing, "w") as stream, logged_to(stream):
        with logs.written_apart():
            # More than a pipe takes.
            for number in range(2_000):
                tell(number)
            select.select([reader], [], [])
            for number in range(2_000, 10_000):
                tell(number)
            while len(found) < 10_000 and (not found or found[-1]["event"] == "request"):
                found.append(json.loads(reader.readline()))

    written = [line["number"] for line in found[:-1]]
    assert written[:2_000] == list(range(2_000))
    assert 2_000 < len(written) < 10_000
    lost = 10_000 - len(written)
    assert found[-1]["event"] == f"lines_left_out: {lost}, since nobody read them"


def test_a_process_ends_though_nobody_reads_its_lines(monkeypatch):
    monkeypatch.setattr(logs, "LAST_SECONDS", 0.1)
    reading, writing = os.pipe()
    with open(reading) as reader, open(writing, "w") as stream, logged_to(stream):
        with logs.written_apart():
            for number in range(9_000):
                tell(number)
        # It has ended; the thread has not, and is let go.
        told = iter(reader)
        while '"number": 8999' not in next(told):
            pass


# Whoever reads it.


class Reader:
    """A pipe with room for a few lines, at whose end somebody reads or does not."""

    def __init__(self) -> None:
        self.end, written = os.pipe()
        fcntl.fcntl(written, fcntl.F_SETPIPE_SZ, 32_768)
        os.set_blocking(self.end, False)
        self.stream = os.fdopen(written, "w")
        self.handler = logs.Lines()
        self.handler.stream = self.stream
        formatter = logs.configuration("INFO", requests=True, readable=False)["formatters"]
        formatter = dict(formatter["structured"])
        self.handler.setFormatter(formatter.pop("()")(**formatter))

    def hears(self, text: str, times: int = 1) -> None:
        for _ in range(times):
            record = logging.LogRecord("shop", logging.INFO, "", 0, text, None, None)
            self.handler.emit(record)

    def reads(self) -> list[dict[str, object]]:
        told = b""
        while True:
            try:
                part = os.read(self.end, 65_536)
            except BlockingIOError:
                break
            told += part
        return [json.loads(line) for line in told.splitlines()]


@pytest.fixture
def reader(monkeypatch) -> Iterator[Reader]:
    monkeypatch.setattr(logs, "READER_SECONDS", 0.05)
    reader = Reader()
    yield reader
    reader.stream.close()
    os.close(reader.end)


def test_a_reader_who_stands_still_stops_nobody_and_is_told_what_he_missed(reader):
    """Without that every thread would wait for him, with the line that it was to write."""
    reader.hears("early", 1_000)

    early = reader.reads()
    assert 0 < len(early) < 300

    reader.hears("late")
    [rest, lost, late] = reader.reads()
    assert rest["event"] == "early"
    assert (lost["event"], lost["times"]) == ("lines_left_out", 1_000 - len(early) - 1)
    assert late["event"] == "late"

    reader.hears("later")
    assert [line["event"] for line in reader.reads()] == ["later"]


def test_a_long_line_is_written_at_once_so_that_no_other_process_stands_in_it(reader, monkeypatch):
    fcntl.fcntl(reader.stream.fileno(), fcntl.F_SETPIPE_SZ, 65_536)
    written: list[int] = []
    write = os.write

    def written_to(descriptor: int, text: bytes) -> int:
        written.append(len(text))
        return write(descriptor, text)

    monkeypatch.setattr(os, "write", written_to)
    monkeypatch.setattr(
        reader.handler, "format", lambda record: json.dumps({"event": "y" * 30_000})
    )

    reader.hears("")

    assert len(written) == 1
    assert len(reader.reads()) == 1


def test_to_a_socket_a_line_goes_in_the_same_way(reader):
    """systemd's journal is one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader.handler.stream = ours.makefile("w")
        reader.hears("to the journal", 100_000)
        told = theirs.recv(4096)

    assert json.loads(told.splitlines()[0])["event"] == "to the journal"


def test_a_stream_that_has_gone_breaks_nothing(reader):
    os.close(reader.end)
    reader.hears("nobody reads", 3)
    reader.end = os.open(os.devnull, os.O_RDONLY)
    reader.handler.stream = None
    reader.hears("there was never one", 3)
