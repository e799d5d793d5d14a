"""All that is logged meanwhile, in the form in which production writes it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from config import logs


@contextmanager
def logged(level: str = "DEBUG") -> Iterator[io.StringIO]:
    written = io.StringIO()
    with logged_to(written, level):
        yield written


@contextmanager
def logged_to(stream: TextIO, level: str = "DEBUG") -> Iterator[None]:
    handler = logging.StreamHandler(stream)
    configured = logs.configuration(level, requests=True, readable=False)
    formatter = dict(configured["formatters"]["structured"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    levels = {name: told["level"] for name, told in configured["loggers"].items()}
    kept = {}
    for name, wanted in {"": level, **levels}.items():
        logger = logging.getLogger(name)
        kept[logger] = logger.level
        logger.setLevel(wanted)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, before in kept.items():
            logger.setLevel(before)


def lines(written: io.StringIO, **like: Any) -> list[dict[str, Any]]:
    """Read what was written, and return the lines that say what is asked for."""
    told = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in told if like.items() <= line.items()]
