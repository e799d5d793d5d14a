from typing import cast

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from api import tokens


def caller_of(request: Request) -> tokens.Caller:
    return cast(tokens.Caller, request.user)


def bearer_token(request: Request) -> str:
    """Return the token that the request carries, unread, or nothing."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[tokens.Caller, None]:
        return tokens.read(bearer_token(request)), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class AnyCaller(BasePermission):
    """A valid token of either grant, which BearerAuthentication has checked."""


class Administrator(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return caller_of(request).is_administrator


class ShoppersMayRead(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in {"GET", "HEAD"} or caller_of(request).is_administrator
