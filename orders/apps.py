from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        from events.services import notices
        from orders import told
        from orders.services import notices as own

        told.register()
        notices.register(own.PLACED, own.SHIPPED)
