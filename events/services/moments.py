"""Where in the feed a moment is: positions rise with the time at which they were handed out."""

from datetime import datetime

from django.db.models import Max, Min

from events.models import Event


def first_since(moment: datetime) -> int:
    """Return the position of the first event that was numbered at this moment or later.

    Where there is none, it is the next one's. Whatever happened since then stands from there on,
    beside some of what had happened just before.

    There is no index on times. Every step halves what is left, as there are no gaps.
    """
    ends = Event.objects.aggregate(first=Min("position"), last=Max("position"))
    if ends["last"] is None:
        return 1
    low, high = ends["first"], ends["last"] + 1
    numbered = Event.objects.order_by("position").values_list("numbered_at", flat=True)
    while low < high:
        middle = (low + high) // 2
        at = numbered.filter(position__gte=middle).first()
        if at is not None and at < moment:
            low = middle + 1
        else:
            high = middle
    return int(low)
