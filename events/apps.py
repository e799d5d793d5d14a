from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"

    def ready(self) -> None:
        from api import beside
        from events import told
        from events.services import sequencing

        told.register()
        beside.register("sequencer", sequencing.run)
