from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"

    def ready(self) -> None:
        from api import beside
        from events import told
        from events.services import (
            delivering,
            integration_notices,
            mailing,
            notices,
            posting,
            sequencing,
        )

        told.register()
        notices.register(integration_notices.FAILING)
        beside.register("sequencer", sequencing.run)
        beside.register("deliverer", delivering.run)
        beside.register("mails", mailing.run)
        beside.register("post", posting.run)
