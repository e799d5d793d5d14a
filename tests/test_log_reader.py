"""Standard error, and whoever reads it."""

import fcntl
import json
import logging
import os
import select
import socket
from collections.abc import Iterator

import pytest

from config import lines, logs
from config.lines import Lines


class Reader:
    """A pipe with room for a few lines, at whose end somebody reads or does not."""

    def __init__(self) -> None:
        self.end, written = os.pipe()
        fcntl.fcntl(written, fcntl.F_SETPIPE_SZ, 32_768)
        os.set_blocking(self.end, False)
        self.stream = os.fdopen(written, "w")
        self.handler = Lines()
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
    monkeypatch.setattr(lines, "READER_SECONDS", 0.05)
    reader = Reader()
    yield reader
    reader.stream.close()
    os.close(reader.end)


def test_for_a_reader_who_stands_still_lines_are_kept_and_nobody_waits(reader):
    """Without that every thread would wait for him, with the line that it was to write."""
    reader.hears("early", 1_000)

    early = reader.reads()
    assert 0 < len(early) < 300

    reader.hears("late")
    rest = reader.reads()
    reader.hears("later")
    while more := reader.reads():
        rest += more
        reader.handler.flush()
    told = [line["event"] for line in [*early, *rest]]
    assert told == ["early"] * 1_000 + ["late", "later"]


def test_of_more_than_is_kept_for_him_he_is_told_how_much_it_was(reader, monkeypatch):
    monkeypatch.setattr(lines, "KEPT_BYTES", 5_000)
    reader.hears("early", 1_000)

    early = reader.reads()
    assert 0 < len(early) < 300

    reader.hears("late")
    *rest, lost, late = reader.reads()
    assert 0 < len(rest) < 100
    assert (lost["event"], lost["times"]) == ("lines_left_out", 1_000 - len(early) - len(rest))
    assert late["event"] == "late"

    reader.hears("later")
    assert [line["event"] for line in reader.reads()] == ["later"]


def test_who_reads_slowly_holds_nobody_up(reader, monkeypatch):
    """He takes a little again and again: each time somebody would begin to wait for him anew."""
    waited = list[float]()

    def takes_nothing(descriptor: int, seconds: float) -> bool:
        waited.append(seconds)
        return False

    monkeypatch.setattr(lines, "_takes", takes_nothing)
    for _ in range(100):
        reader.hears("busy", 100)
        os.read(reader.end, 4_096)

    assert sum(waited) <= lines.READER_SECONDS


def test_at_the_end_of_a_process_its_reader_is_waited_for_but_not_for_ever(reader, monkeypatch):
    reader.hears("early", 1_000)
    early = reader.reads()
    reader.handler.flush()
    rest = reader.reads()
    assert len(rest) > 100

    monkeypatch.setattr(lines, "LAST_SECONDS", 0.05)
    reader.handler.flush()
    assert len(early) + len(rest) < 1_000


def test_what_a_process_has_kept_its_children_do_not_write_again(reader):
    reader.hears("early", 1_000)
    logging.getLogger().addHandler(reader.handler)
    try:
        if not (child := os.fork()):
            reader.reads()
            reader.handler.flush()
            os._exit(len(reader.reads()) > 0)
    finally:
        logging.getLogger().removeHandler(reader.handler)

    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def written(monkeypatch) -> list[bytes]:
    """Each call that writes, as a list of what it wrote."""
    calls: list[bytes] = []
    write = os.write

    def written_to(descriptor: int, text: bytes) -> int:
        calls.append(text)
        return write(descriptor, text)

    monkeypatch.setattr(os, "write", written_to)
    return calls


def test_a_long_line_is_written_at_once_so_that_no_other_process_stands_in_it(
    reader, written, monkeypatch
):
    fcntl.fcntl(reader.stream.fileno(), fcntl.F_SETPIPE_SZ, 65_536)
    monkeypatch.setattr(
        reader.handler, "format", lambda record: json.dumps({"event": "y" * 30_000})
    )

    reader.hears("")

    assert len(written) == 1
    assert len(reader.reads()) == 1


def test_lines_of_many_gather_and_go_in_few_calls_each_of_whole_lines(reader, written, monkeypatch):
    """With each call the thread that writes and those that work would change places."""
    monkeypatch.setattr(logging.getLogger("of.requests"), "propagate", False)
    monkeypatch.setattr(logging.getLogger("of.requests"), "handlers", [reader.handler])
    monkeypatch.setattr(logging.getLogger(), "handlers", [reader.handler])
    for number in range(100):
        logs.tell(logging.getLogger("of.requests"), logging.INFO, "request", {"n": number}, 0)
    assert written == []
    lines.write_kept()

    assert [line["n"] for line in reader.reads()] == list(range(100))
    assert len(written) < 10
    # So no other process can stand in the middle of one.
    assert all(len(text) <= select.PIPE_BUF and text.endswith(b"\n") for text in written)


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
