"""What the log writes, at whatever length it came."""

from config.logs import LENGTH_MAX, TRACEBACK_LENGTH_MAX, shortened


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
