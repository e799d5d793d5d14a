"""How much of a body is taken. What is done before that is in tests/test_front.py."""

import contextlib

import pytest
from django.core.exceptions import RequestDataTooBig
from django.test import RequestFactory

from api import incoming


@pytest.mark.parametrize(("told", "is_refused"), [("10", False), ("11", True)])
def test_t39_a_body_that_says_to_be_too_long_is_refused_before_it_is_read(told, is_refused):
    request = RequestFactory().generic("POST", "/", b"x" * 10, CONTENT_LENGTH=told)

    refused = pytest.raises(RequestDataTooBig) if is_refused else contextlib.nullcontext()
    with refused:
        incoming.read(request, 10)
