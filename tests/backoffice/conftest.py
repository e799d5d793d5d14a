import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.backoffice.pages import signed_in


@pytest.fixture
def admin_client() -> Client:
    """Somebody who may do everything; without a password, whose hash takes half a second."""
    return signed_in(User.objects.create_superuser("admin"))
