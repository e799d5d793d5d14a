from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        from api import health
        from payments.services import audit

        health.register("audit", audit.standing)
