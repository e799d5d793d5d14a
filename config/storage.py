"""How Django keeps files: those that come with it, and the pictures that people upload."""

from contextlib import suppress
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

# No name of a file ever comes again.
_FOR_GOOD = "public, max-age=31536000, immutable"
# A request holds a thread, and waits for two files more.
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3, 5, 2


def static_files(root: str | None) -> dict[str, Any]:
    """What names the static files: by their content, if they are collected into a folder."""
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    return {"BACKEND": "config.static_files.HashedFiles" if root else plain}


def folder() -> dict[str, Any]:
    """The folder MEDIA_ROOT, in which the demo writes its own files anew."""
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"allow_overwrite": True},
    }


def bucket(
    name: str,
    public_url: str,
    *,
    prefix: str = "",
    region: str = "",
    endpoint_url: str = "",
    key_id: str = "",
    secret: str = "",
) -> dict[str, Any]:
    """A bucket from which anybody reads at `public_url`. Keys that are not given are looked for
    where boto3 looks for them. Raises: ImproperlyConfigured."""
    if not find_spec("storages") or not find_spec("boto3"):
        raise ImproperlyConfigured(
            "S3_BUCKET is set, and django-storages is not installed: install requirements-s3.lock."
        )
    from botocore.config import Config

    scheme = origin(public_url).partition(":")[0]
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": name,
            "location": prefix,
            "region_name": region or None,
            "endpoint_url": endpoint_url or None,
            "access_key": key_id or None,
            "secret_key": secret or None,
            "url_protocol": f"{scheme}:",
            "custom_domain": public_url.partition("://")[2].rstrip("/"),
            "querystring_auth": False,
            "object_parameters": {"CacheControl": _FOR_GOOD},
            "client_config": Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                # What stands in for S3 need not know the newest of its checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        },
    }


def origin(url: str) -> str:
    """Return where pages load from, as a policy names it. Raises: ImproperlyConfigured."""
    with suppress(ValueError):
        parts = urlsplit(url)
        # The port is looked at when it is asked for.
        if parts.scheme in {"http", "https"} and parts.hostname and not parts.query:
            _ = parts.port
            return f"{parts.scheme}://{parts.netloc}"
    raise ImproperlyConfigured(
        "S3_PUBLIC_URL must say where anybody reads the bucket's files, such as "
        "https://pictures.example.com."
    )
