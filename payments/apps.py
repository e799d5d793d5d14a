from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        from api import health
        from payments.services import audit, installation

        health.register("audit", audit.standing)
        health.register("gateways", installation.standing)
