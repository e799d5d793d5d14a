"""Following the feed: what is told, as it comes."""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress

from django.db import DatabaseError, connection

from api import news
from config import outages
from events.models import Event
from events.services import feed
from events.services.sequencing import LOOK_SECONDS

PAGE = 100


def follow(
    after: int | None,
    types: Collection[str] | None = None,
    *,
    ends: bool = False,
    is_away: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """Give what is told after the position: after 0 from the oldest on, after None from now on.

    At the last event it ends, or waits for the next one; then it also waits while the database is
    away, and says so once.

    Raises: EventsForgotten, FeedSetBack.
    """
    after_id, is_told = None, False
    with closing(news.Waiter(news.NUMBERED)) as waiter:
        while True:
            try:
                if after is None:
                    after = feed.last_position()
                page = feed.page(after or None, PAGE, types, after_id=after_id)
            except Exception as error:
                if ends or not outages.is_away(error):
                    raise
                with suppress(DatabaseError):
                    connection.close()
                if not is_told:
                    is_away()
                is_told = True
                waiter.wait(LOOK_SECONDS, _never)
                continue
            is_told = False
            yield from page.events
            if page.more:
                after, after_id = page.events[-1].position, page.events[-1].id
                continue
            after, after_id = page.last_position, page.last_id
            if ends:
                return
            waiter.wait(LOOK_SECONDS, _never)


_never = threading.Event()
