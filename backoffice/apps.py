from django.apps import AppConfig


class BackofficeConfig(AppConfig):
    name = "backoffice"

    def ready(self) -> None:
        from backoffice import attention
        from events.services import notices

        notices.register(attention.NOTICE)
