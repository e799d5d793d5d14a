from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "API access"

    def ready(self) -> None:
        from api import (
            checks,  # noqa: F401 - Django learns of them that way
            health,
            readiness,  # noqa: F401
            rights,  # noqa: F401
            workers,
        )
        from config import tracing

        health.register("workers", workers.standing)
        tracing.start()
