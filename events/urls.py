from django.urls import path

from events import views

_INTEGRATION = "integrations/<id:integration_id>"

urlpatterns = [
    path("events", views.EventsView.as_view()),
    path("integrations", views.IntegrationsView.as_view()),
    path("integrations/logs", views.StoreLogsView.as_view()),
    path(_INTEGRATION, views.IntegrationView.as_view()),
    path(f"{_INTEGRATION}/secret", views.SecretView.as_view()),
    path(f"{_INTEGRATION}/logs", views.IntegrationLogsView.as_view()),
    path(f"{_INTEGRATION}/jobs", views.JobsView.as_view()),
    path(f"{_INTEGRATION}/jobs/<id:job_id>/logs", views.JobLogsView.as_view()),
]
