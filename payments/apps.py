from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"

    def ready(self) -> None:
        from api import health
        from events.services import closing, notices
        from inventory.services import picture_files
        from payments import told
        from payments.services import audit, installation
        from payments.services import notices as own

        health.register("audit", audit.standing)
        health.register("gateways", installation.standing)
        picture_files.let_be_while(installation.are_closed)
        closing.let_be_while(installation.are_closed, remember=installation.remember_place)
        told.register()
        notices.register(own.REFUNDED)
