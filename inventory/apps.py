from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "inventory"

    def ready(self) -> None:
        from events.services import notices
        from inventory import told
        from inventory.services import notices as own

        told.register()
        notices.register(own.LOW, own.OUT)
