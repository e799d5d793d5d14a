import time
import uuid

from api.ids import uuid7

NOON = 1_777_896_000 * 10**9


def test_an_id_is_a_version_7_uuid_of_its_moment(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: NOON + 123_000_000)

    made = uuid7()

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == NOON // 10**6 + 123


def test_an_id_made_a_microsecond_later_sorts_later(monkeypatch):
    moments = iter(range(NOON, NOON + 5_000_000, 1_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))

    ids = [uuid7() for _ in range(5_000)]

    assert ids == sorted(ids)


def test_ids_of_one_moment_cannot_be_guessed_from_each_other(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: NOON)

    random_bits = {uuid7().int & (1 << 62) - 1 for _ in range(1_000)}

    assert len(random_bits) == 1_000
    assert max(random_bits) > 1 << 61
