"""What is told of the work a moment later, by a thread of its own."""

import io
import logging
import os
import threading
import time
from datetime import UTC, datetime

import pytest

from config import lines, logs, telling
from tests.logged import lines as told_lines
from tests.logged import logged, logged_to
from tests.test_supervisor import wait_for

_log = logging.getLogger("of.requests")


def tell(number: int) -> None:
    at = time.time()
    telling.later(lambda: logs.tell(_log, logging.INFO, "request", {"number": number}, at))


def test_all_is_told_at_the_end_with_the_time_of_each():
    with logged() as written, telling.apart():
        before = datetime.now(UTC)
        for number in range(1_000):
            tell(number)
        after = datetime.now(UTC)
        assert written.getvalue() == ""

    told = told_lines(written, event="request")
    assert [line["number"] for line in told] == list(range(1_000))
    times = [datetime.fromisoformat(line["timestamp"]) for line in told]
    # To the microsecond of what the clock of the record says.
    assert before.timestamp() - 0.001 <= times[0].timestamp() <= times[-1].timestamp()
    assert times[-1].timestamp() <= after.timestamp() + 0.001


def test_it_is_told_a_moment_later_and_without_anybody_s_help():
    written = io.StringIO()
    with logged_to(written), telling.apart():
        for number in range(3):
            tell(number)
            wait_for(lambda told=number: f'"number": {told}' in written.getvalue(), 30)


def test_what_comes_while_it_ends_is_told_too(monkeypatch):
    monkeypatch.setattr(telling, "LAST_SECONDS", 30)
    told = list[str]()
    has_looked, ends = threading.Event(), threading.Event()

    def write_kept() -> None:
        has_looked.set()
        ends.wait(30)

    monkeypatch.setattr(lines, "write_kept", write_kept)
    end = telling._Thread.end

    def end_once_it_has_looked(thread: telling._Thread) -> None:
        thread._ends = True
        ends.set()
        end(thread)

    monkeypatch.setattr(telling._Thread, "end", end_once_it_has_looked)
    with telling.apart():
        telling.later(lambda: told.append("early"))
        has_looked.wait(30)
        telling.later(lambda: told.append("late"))

    assert told == ["early", "late"]


def test_what_cannot_be_told_is_a_line_and_the_rest_is_told():
    told = list[int]()
    with logged() as written, telling.apart():
        telling.later(lambda: told.append(1))
        telling.later(lambda: 1 / 0)
        telling.later(lambda: told.append(2))

    assert told == [1, 2]
    [line] = told_lines(written, event="not_told")
    assert "ZeroDivisionError" in line["exception"]


def test_where_too_much_waits_whoever_comes_tells_of_himself(monkeypatch):
    """So nothing that is counted is lost, and what waits has an end."""
    monkeypatch.setattr(telling, "WAITING_MAX", 2)
    monkeypatch.setattr(telling, "GATHERED_SECONDS", 0.5)
    by = list[str]()
    with telling.apart():
        for _ in range(5):
            telling.later(lambda: by.append(threading.current_thread().name))

    own = threading.current_thread().name
    assert sorted(by) == sorted([own] * 3 + ["telling"] * 2)


def test_without_its_thread_it_is_told_and_written_at_once(monkeypatch):
    written = io.StringIO()
    handler = lines.Lines()
    handler.stream = written
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(_log, "level", logging.INFO)

    tell(1)

    assert written.getvalue() == "request\n"


def test_a_reader_who_stood_still_gets_what_was_kept_though_nothing_comes_after_it(monkeypatch):
    monkeypatch.setattr(lines, "READER_SECONDS", 0)
    monkeypatch.setattr(telling, "AGAIN_SECONDS", 0.01)
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w") as stream:
        handler = lines.Lines()
        handler.stream = stream
        monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
        with telling.apart():
            # More than a pipe takes.
            for number in range(10_000):
                handler.handle(logging.LogRecord("shop", 20, "", 0, str(number), None, None))
            told = [int(reader.readline()) for _ in range(10_000)]

    assert told == list(range(10_000))


def test_a_process_ends_though_its_telling_does_not(monkeypatch):
    monkeypatch.setattr(telling, "LAST_SECONDS", 0.1)
    goes_on = threading.Event()
    ended = threading.Event()
    with telling.apart():
        telling.later(goes_on.wait)
        telling.later(ended.set)
    # It has ended; the thread has not, and is let go.
    assert not ended.is_set()
    goes_on.set()
    assert ended.wait(30)


@pytest.fixture(autouse=True)
def nothing_is_told_apart_after_it():
    yield
    assert telling._thread is None
