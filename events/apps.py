from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"

    def ready(self) -> None:
        from api import beside
        from events import told
        from events.services import delivering, sequencing

        told.register()
        beside.register("sequencer", sequencing.run)
        beside.register("deliverer", delivering.run)
