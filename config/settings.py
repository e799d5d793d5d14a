"""Every setting, read once from the environment. Importing this module starts nothing."""

import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dj_database_url
from csp.constants import NONE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from environs import FileAwareEnv, ValidationError, validate
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from config import logs, storage
from config.postgresql import Connection


class _Environment(FileAwareEnv):
    """Takes what is empty for what is not set, as containers hand on variables that nobody set.

    A variable NAME may be told as a file, NAME_FILE. Raises: ImproperlyConfigured.
    """

    # What has been asked for, and what is asked for in some environments alone.
    names = {
        *("TOKEN_KEY", "SECURE_HSTS_SECONDS", "S3_PUBLIC_URL", "S3_PREFIX", "S3_REGION"),
        *("S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
    }

    def _get_value(self, env_key: str, default: Any) -> Any:
        self.names.add(env_key)
        file_key = f"{env_key}{self.file_suffix}"
        if os.environ.get(env_key) and os.environ.get(file_key):
            raise ImproperlyConfigured(f"{env_key} and {file_key} are both set: leave one out.")
        try:
            value = super()._get_value(env_key, default)
            # As in a file: an editor of Windows leaves a sign at the end of each line.
            return (value.strip() if isinstance(value, str) else value) or default
        except (OSError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{file_key} names {os.environ[file_key]}, which is no text file that can be read."
            ) from error


env = _Environment(strip_whitespace=True)
# What values may be. Beyond that, some numbers cannot be reckoned with.
_NOT_NEGATIVE = validate.Range(min=0, max=10**9)
_ONE_OR_MORE = validate.Range(min=1, max=10**9)
_FEW = validate.Range(min=1, max=500)
_TIME = validate.Range(min=1, max=10_000)
_LEVEL = validate.OneOf(["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"])
BASE_DIR = Path(__file__).resolve().parent.parent

# Set by `make run` and the commands for developers only. It allows the embedded database, the
# demo's credentials, the `test` gateway and the replaceable clock, so it belongs on loopback.
HOLDFAST_DEMO = env.bool("HOLDFAST_DEMO", default=False)
DEBUG = False

# What everybody can read here and in the documents. Outside of the demo nobody gets in with it.
DEMO_PASSWORD = "demo"  # noqa: S105
DEMO_CLIENT_SECRET = "demo-secret"  # noqa: S105
DEMO_KEYS = {
    name: f"demo-{name.lower()}-good-for-loopback-only" for name in ("SECRET_KEY", "TOKEN_KEY")
}


def _list(name: str, *default: str) -> list[str]:
    """Read a list, in which people write a space after a comma."""
    parts: list[str] = env.list(name, default=list(default))
    return [part.strip() for part in parts if part.strip()]


def _origins(name: str) -> list[str]:
    """Read what others read as addresses, and break on. Raises: ImproperlyConfigured."""
    found = _list(name)
    for each in found:
        try:
            _ = urlsplit(each).port
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} has {each!r}, which is no origin such as https://shop.example.com."
            ) from error
    return found


def _secret(name: str) -> str:
    """Read a secret that has a well-known value in the demo and must be set anywhere else."""
    return env.str(name, DEMO_KEYS[name]) if HOLDFAST_DEMO else env.str(name)


def _token_keys(pairs: list[str]) -> dict[str, str]:
    """Raises: ImproperlyConfigured, rather than lose a key that another one's kid would hide."""
    keys = {kid: key for kid, colon, key in (pair.partition(":") for pair in pairs) if colon}
    if len(keys) < len(pairs):
        raise ImproperlyConfigured("TOKEN_KEYS is written kid:key,kid:key, each kid once.")
    return keys


SECRET_KEY = _secret("SECRET_KEY")
# Access tokens are signed with keys of their own: "kid:secret,kid:secret". The first key signs, all
# of them verify, so that a key can be replaced while its tokens live.
TOKEN_KEYS = _token_keys(_list("TOKEN_KEYS") or [f"1:{_secret('TOKEN_KEY')}"])
TOKEN_LIFETIME_SECONDS = 3600
# For how long a revoked API client may go on in a process that has just looked it up.
CLIENT_CACHE_SECONDS = 15

ALLOWED_HOSTS = _list("ALLOWED_HOSTS", "127.0.0.1", "localhost", "[::1]")


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return f".{host.lower()}".endswith(".localhost")


# With secrets that everybody knows. The web server also turns away whoever calls from elsewhere.
if HOLDFAST_DEMO and not all(map(_is_of_this_machine, ALLOWED_HOSTS)):
    raise ImproperlyConfigured(
        "The demo's secrets are public, so HOLDFAST_DEMO=1 takes no ALLOWED_HOSTS but those of "
        f"this machine, and not {', '.join(ALLOWED_HOSTS)}."
    )
CSRF_TRUSTED_ORIGINS = _origins("CSRF_TRUSTED_ORIGINS")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

# Whether shoppers may use the manual gateway: then anybody with an order's id can mark it paid.
MANUAL_GATEWAY_FOR_SHOPPERS = env.bool("MANUAL_GATEWAY_FOR_SHOPPERS", default=HOLDFAST_DEMO)
# The API client, a storefront, whose name the shop window at / uses; without one, / has no page.
SHOP_WINDOW_CLIENT = env.str(
    "SHOP_WINDOW_CLIENT", default="demo-storefront" if HOLDFAST_DEMO else ""
)
SHOW_STOCK_LEVEL = env.bool("SHOW_STOCK_LEVEL", default=True)
CART_EXPIRY_DAYS = env.int("CART_EXPIRY_DAYS", default=7, validate=_TIME)
# After how long the order list asks for attention: to money that is on its way, and to orders of
# which only a part was paid.
ATTENTION_PENDING_MINUTES = env.int("ATTENTION_PENDING_MINUTES", default=5, validate=_TIME)
ATTENTION_PARTLY_PAID_HOURS = env.int("ATTENTION_PARTLY_PAID_HOURS", default=72, validate=_TIME)
# How long a request waits for a gateway, and how long after that its charge counts as under way.
GATEWAY_TIMEOUT_SECONDS = env.int("GATEWAY_TIMEOUT_SECONDS", default=5, validate=_TIME)
# How long a worker waits for a gateway: longer, since no buyer waits for the worker.
GATEWAY_WORKER_TIMEOUT_SECONDS = env.int(
    "GATEWAY_WORKER_TIMEOUT_SECONDS", default=60, validate=_TIME
)
# Where `manage.py serve` listens, with how many processes and how many threads in each, and for how
# long it lets requests end when it is told to stop.
WEB_HOST = env.str("WEB_HOST", default="127.0.0.1")
WEB_PORT = env.int("WEB_PORT", default=8000, validate=validate.Range(min=1, max=65_535))
WEB_WORKERS = env.int("WEB_WORKERS", default=os.cpu_count() or 1, validate=_FEW)
WEB_THREADS = env.int("WEB_THREADS", default=4, validate=_FEW)
WEB_GRACE_SECONDS = env.int("WEB_GRACE_SECONDS", default=20, validate=_TIME)
# How many threads of a process may wait for gateways: half of them. Beyond that a payment answers
# 202 at once, and a worker charges it.
GATEWAY_WAITS_MAX = env.int(
    "GATEWAY_WAITS_MAX", default=max(1, WEB_THREADS // 2), validate=_ONE_OR_MORE
)
# How long a buyer has to confirm a payment, and a gateway to report what became of a payment.
PAYMENT_DEADLINE_MINUTES = env.int("PAYMENT_DEADLINE_MINUTES", default=30, validate=_TIME)
# How long a gateway keeps money reserved. Then the authorization and the order's units are let go.
AUTHORIZATION_DAYS = env.int("AUTHORIZATION_DAYS", default=7, validate=_TIME)

# For how long the feed of events is kept, and with it what became of their deliveries.
EVENTS_KEPT_DAYS = env.int("EVENTS_KEPT_DAYS", default=30, validate=_TIME)
# Hosts of its own network, by name or address, that integrations may name all the same.
WEBHOOK_INSIDE_HOSTS = _list(
    "WEBHOOK_INSIDE_HOSTS", *(("localhost", "127.0.0.1", "[::1]") if HOLDFAST_DEMO else ())
)
# Where the shop is found, in what is told outside of any request: events and mails.
PUBLIC_URL = env.str(
    "PUBLIC_URL",
    default=f"http://127.0.0.1:{WEB_PORT}" if HOLDFAST_DEMO else f"https://{ALLOWED_HOSTS[0]}",
).rstrip("/")

# In the demo mails are kept and shown, and sent to nobody.
MAILS_ARE_SENT = not HOLDFAST_DEMO
# The server that takes the shop's mails; without one they wait.
EMAIL_BACKEND = "events.services.smtp.Backend"
EMAIL_HOST = env.str("EMAIL_HOST", default="")
EMAIL_SECURITY = env.str(
    "EMAIL_SECURITY", default="starttls", validate=validate.OneOf(["starttls", "tls", "none"])
)
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_PORT = env.int(
    "EMAIL_PORT",
    default={"starttls": 587, "tls": 465, "none": 25}[EMAIL_SECURITY],
    validate=validate.Range(min=1, max=65_535),
)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
# For each answer of the server. All of a conversation has an end, too: see events.services.posting.
EMAIL_TIMEOUT = 10
# For how long mails are kept, with the words and addresses in them.
MAILS_KEPT_DAYS = env.int("MAILS_KEPT_DAYS", default=90, validate=_TIME)

# How much a request's body may have, files apart.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
# As many pictures as are sent at once; a page that takes fewer files says so.
DATA_UPLOAD_MAX_NUMBER_FILES = 20

# The bearer token for reading /metrics. Without one nobody may read it, except in the demo.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# The folder in which all processes of a machine count together.
METRICS_DIR = env.str("METRICS_DIR", default="")
# What it was built from. Whoever builds an image knows.
HOLDFAST_COMMIT = env.str("HOLDFAST_COMMIT", default="")

# What this installation is called. A database in which the gateways of another one were opened asks
# no gateway from here: so no copy of a shop charges anybody.
HOLDFAST_INSTALLATION = env.str("HOLDFAST_INSTALLATION", default="")

# Where traces and faults go; with none, nowhere. See config.tracing.
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")
SENTRY_DSN = env.str("SENTRY_DSN", default="")

# Without its secret key Stripe cannot be enabled; without the webhook's, its messages are refused.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_PUBLISHABLE_KEY = env.str("STRIPE_PUBLISHABLE_KEY", default="")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", default="")
# An address to use instead of Stripe's own; the tests have a server that behaves like Stripe.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    # Before Django's own: its createsuperuser and changepassword are on record.
    "backoffice",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "corsheaders",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "axes",
    "api",
    "events",
    "inventory",
    "orders",
    "payments",
    "demo",
]

MIDDLEWARE = [
    "backoffice.refusals.RefusalMiddleware",
    "api.middleware.RequestMiddleware",
    "api.middleware.ContentPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.middleware.CompressionMiddleware",
    "backoffice.middleware.SessionMiddleware",
    "backoffice.middleware.CommonMiddleware",
    "backoffice.middleware.UploadMiddleware",
    "backoffice.middleware.CsrfViewMiddleware",
    "backoffice.middleware.AuthenticationMiddleware",
    "backoffice.middleware.MessageMiddleware",
    "backoffice.middleware.XFrameOptionsMiddleware",
    "backoffice.middleware.UnstorableMiddleware",
    "backoffice.middleware.TimeZoneMiddleware",
    "backoffice.middleware.LoginMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["backoffice.templatetags.people"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# Options that Django has beside PostgreSQL's own.
_OF_DJANGO = {"assume_role", "isolation_level", "pool", "server_side_binding"}


# Several servers, of which one is the primary: what stands between the password and the database.
_SERVERS = re.compile(r"(?<=//|.@)[^/@?]*,[^/@?]*(?=[/?]|$)")
_SERVER = re.compile(r"(\[[^]]*\]|[^:]*)(?::(\d*))?")


def _parsed(url: str) -> dict[str, Any]:
    """Raises: ValueError."""
    servers = _SERVERS.search(url)
    if servers is None:
        return {**dj_database_url.parse(url)}
    # Which the parser does not know.
    found: dict[str, Any] = {**dj_database_url.parse(_SERVERS.sub("servers", url, count=1))}
    hosts, ports = [], []
    for each in servers[0].split(","):
        server = _SERVER.fullmatch(each)
        if server is None:
            raise ValueError(each)
        hosts.append(unquote(server[1].strip("[]")))
        ports.append(server[2] or "")
    return found | {"HOST": ",".join(hosts), "PORT": ",".join(ports) if any(ports) else ""}


def _database_at(url: str) -> dict[str, Any]:
    """Raises: ImproperlyConfigured, without the address, which has a password in it."""
    try:
        found = _parsed(url.strip())
    except ValueError:
        found = {}
    options = found.get("OPTIONS", {})
    names_one = found.get("NAME") or "service" in options
    if found.get("ENGINE") != "django.db.backends.postgresql" or not names_one:
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://user:password@host/database. In a password "
            "write signs such as / ? # [ ] by their number: a # is %23."
        )
    try:
        make_conninfo(**{name: options[name] for name in set(options) - _OF_DJANGO})
    except ProgrammingError as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL ends in what PostgreSQL does not know: {str(error).strip()}. "
            "Leave it out."
        ) from error
    # Ours, which leaves a server that only reads.
    return found | {"ENGINE": "config.postgresql"}


# Waiting for ever turns a small fault into an outage, so a lock wait, a statement and an idle
# transaction each time out. Long reports set DATABASE_STATEMENT_TIMEOUT_MS=0.
_LIMITS = {
    "lock_timeout": env.int("DATABASE_LOCK_TIMEOUT_MS", default=3_000, validate=_NOT_NEGATIVE),
    "statement_timeout": env.int(
        "DATABASE_STATEMENT_TIMEOUT_MS", default=15_000, validate=_NOT_NEGATIVE
    ),
    "idle_in_transaction_session_timeout": env.int(
        "DATABASE_IDLE_TIMEOUT_MS", default=15_000, validate=_NOT_NEGATIVE
    ),
}
# Behind PgBouncer before 1.22 prepared statements must be off.
_PREPARE = env.bool("DATABASE_PREPARE", default=True)
# Connections a process keeps open, as many as a web server's threads, and a worker's jobs, want at
# once; 0 opens one for each thread and keeps it.
_POOL = env.int("DATABASE_POOL_SIZE", default=max(8, WEB_THREADS), validate=_NOT_NEGATIVE)
_database_options: dict[str, Any] = {
    "options": " ".join(f"-c {name}={value}" for name, value in _LIMITS.items()),
    "server_side_binding": _PREPARE,
    "prepare_threshold": 1 if _PREPARE else None,
    "application_name": "holdfast",
    # A standby is no database, even where its address is the one that is named: it may be old.
    "target_session_attrs": "read-write",
    # A server whose machine is gone answers nothing. Without these, its connections would be waited
    # for until the kernel gives up, after two minutes or a quarter of an hour.
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
if _POOL:
    _database_options["pool"] = {
        "min_size": 1,
        "max_size": _POOL,
        "timeout": 5,
        "connection_class": Connection,
        # It would try again later and later. So it gives up at once, and begins anew.
        "reconnect_timeout": 2,
        "reconnect_failed": ConnectionPool.check,
    }

_database = _database_at(
    env.str("DATABASE_URL", default="postgresql://holdfast@127.0.0.1:5432/holdfast")
)
_of_url = _database.get("OPTIONS", {})
_of_server = [each["options"] for each in (_database_options, _of_url) if "options" in each]
DATABASES = {
    "default": _database
    | {
        "ATOMIC_REQUESTS": False,
        "CONN_MAX_AGE": 0 if _POOL else None,
        "DISABLE_SERVER_SIDE_CURSORS": not _PREPARE,
        # Options in the URL, such as ?sslmode=require, take precedence. What is there for the
        # server (?options=…) is added: without our limits a statement would wait for ever.
        "OPTIONS": _database_options | _of_url | {"options": " ".join(_of_server)},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "api.errors.answer_exception",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "DEFAULT_SCHEMA_CLASS": "api.schema.Schema",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Holdfast",
    "VERSION": "2",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": "Stock, carts, orders and payments that never oversell.",
    "SERVERS": [{"url": "/", "description": "The server that tells this."}],
    "PREPROCESSING_HOOKS": ["api.schema.read_descriptions"],
    "POSTPROCESSING_HOOKS": ["api.schema.add_components"],
    "APPEND_COMPONENTS": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    "PATH_CONVERTER_OVERRIDES": {
        "cart_id": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,128}$"},
        "id": {"type": "string", "format": "uuid"},
    },
    # A view is asked about its operations without a request.
    "GET_MOCK_REQUEST": lambda method, path, view, request: None,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "COMPONENT_SPLIT_REQUEST": True,
}

# The last two do not exist, but without CORS headers a browser would hide that from the page.
CORS_URLS_REGEX = r"^/(v2|oauth|pcm|catalog)(/|$)"
# Which sites' pages may call the API; in the demo, any that a developer serves on this machine.
CORS_ALLOWED_ORIGINS = _origins("CORS_ALLOWED_ORIGINS")
CORS_ALLOWED_ORIGIN_REGEXES = (
    [r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$"] if HOLDFAST_DEMO else []
)
CORS_ALLOW_METHODS = ["GET", "POST", "PUT", "DELETE"]
CORS_ALLOW_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "x-request-id",
    # What clients of the source API send with every call; most of it means nothing here.
    "x-moltin-application",
    "x-moltin-auth-store",
    "x-moltin-currency",
    "x-moltin-customer-token",
    "x-moltin-language",
    "x-moltin-sdk-language",
    "x-moltin-sdk-version",
    "ep-account-management-authentication-token",
    "ep-beta-features",
    "ep-channel",
    "ep-context-tag",
    "ep-disable-beta-filtering",
    "ep-inventories-multi-location",
]
CORS_EXPOSE_HEADERS = ["Retry-After", "Idempotent-Replayed", "X-Request-Id", "ETag"]
CORS_PREFLIGHT_MAX_AGE = 7200

LIMIT_SECONDS = env.int("LIMIT_SECONDS", default=10, validate=_TIME)
# How many calls of each kind one address may make in LIMIT_SECONDS; 0 sets no limit. Counted in the
# database, for all processes together.
LIMITS = {
    "token": env.int("TOKEN_LIMIT", default=1_000, validate=_NOT_NEGATIVE),
    "checkout": env.int("CHECKOUT_LIMIT", default=1_000, validate=_NOT_NEGATIVE),
    "payment": env.int("PAYMENT_LIMIT", default=1_000, validate=_NOT_NEGATIVE),
    # Hashing a password takes half a second of a core, on purpose.
    "login": env.int("LOGIN_LIMIT", default=20, validate=_NOT_NEGATIVE),
}
# How many carts shoppers at one address may open in a day, each of which takes room until it
# expires; counted with the calls above. In the demo everybody has the address of this machine.
LIMITS["cart"] = env.int(
    "CARTS_PER_ADDRESS", default=0 if HOLDFAST_DEMO else 20_000, validate=_NOT_NEGATIVE
)
# How many orders of one cart, and how many that shoppers at one address made within a day, may
# wait for their money; 0 sets no limit.
UNPAID_ORDERS_PER_CART = env.int("UNPAID_ORDERS_PER_CART", default=20, validate=_NOT_NEGATIVE)
UNPAID_ORDERS_PER_ADDRESS = env.int(
    "UNPAID_ORDERS_PER_ADDRESS", default=0 if HOLDFAST_DEMO else 200, validate=_NOT_NEGATIVE
)
# Every other call, counted in each process by itself.
REQUEST_LIMIT = env.int("REQUEST_LIMIT", default=10_000, validate=_NOT_NEGATIVE)
# How many proxies of our own stand in front, each of which adds to X-Forwarded-For.
NUM_TRUSTED_PROXIES = env.int("NUM_TRUSTED_PROXIES", default=0, validate=_NOT_NEGATIVE)

PASSWORD_HASHERS = ["api.passwords.OneAtATime"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# How many wrong passwords for one name an address may send before it has to wait. See
# backoffice.logins.
LOGIN_FAILURES = env.int("LOGIN_FAILURES", default=5, validate=_ONE_OR_MORE)
LOGIN_COOL_OFF_MINUTES = env.int("LOGIN_COOL_OFF_MINUTES", default=15, validate=_TIME)
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "backoffice.logins.PublishedPasswords",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_COOL_OFF_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "backoffice.logins.address"
AXES_LOCKOUT_CALLABLE = "backoffice.logins.locked_out"
# Further attempts during the wait are neither counted nor do they prolong it.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
# Successful logins are recorded in `last_login`.
AXES_DISABLE_ACCESS_LOG = True
# Kept out of the logs, because people sometimes type their password there.
AXES_SENSITIVE_PARAMETERS = ["username"]
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Messages stay on the server: one of them shows a new API secret, once.
MESSAGE_STORAGE = "backoffice.middleware.Messages"
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

# The demo runs on plain http; anywhere else cookies travel on TLS only and browsers are told so.
# The prefix has browsers refuse a cookie of this name that anything else has set.
if not HOLDFAST_DEMO:
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# A login lasts for a working day. The cookie does not travel with what other sites send here.
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=12, validate=_TIME) * 3600
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not HOLDFAST_DEMO
CSRF_FAILURE_VIEW = "api.views.stale_form"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not HOLDFAST_DEMO)
# A load balancer asks for health in plain http, and so do those who collect numbers.
SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$", "^version$"]
SECURE_HSTS_SECONDS = (
    0
    if HOLDFAST_DEMO
    else env.int("SECURE_HSTS_SECONDS", default=31_536_000, validate=_NOT_NEGATIVE)
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=True)
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", default=False)
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# A response that names no policy of its own may load nothing. api.policies has the other policies.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "form-action": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
# Where product images may come from, beside this server.
IMAGE_SOURCES = _list("IMAGE_SOURCES", "https:")
if any(re.search(r"[\s;]", source) for source in IMAGE_SOURCES):
    raise ImproperlyConfigured("A source in IMAGE_SOURCES has no space and no semicolon.")

# Their middleware is there, as subclasses in backoffice.middleware that step aside for the API.
SILENCED_SYSTEM_CHECKS = ["security.W002", "security.W003", "axes.W002"]


def _require_time_zone(name: str) -> None:
    """Raises: ValidationError."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValidationError("There is no such time zone.") from error


USE_TZ = True
# The time zone in which people read times, unless the store's settings name another.
TIME_ZONE = env.str("TIME_ZONE", default="UTC", validate=_require_time_zone)
LANGUAGE_CODE = "en"
USE_I18N = False

STATIC_URL = "/static/"
# Static files are served from their packages, so no start needs collectstatic. With STATIC_ROOT
# set, they are served from there, under names that never mean anything else.
STATIC_ROOT = env.str("STATIC_ROOT", default=None)
WHITENOISE_USE_FINDERS = STATIC_ROOT is None

# The pictures that people upload.
MEDIA_URL = "/media/"
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(BASE_DIR / ".data" / "media"))
STORAGES = {"default": storage.folder(), "staticfiles": storage.static_files(STATIC_ROOT)}
# With a bucket they lie there instead, and browsers ask it for them.
S3_BUCKET = env.str("S3_BUCKET", default="")
if S3_BUCKET:
    _public_url = env.str("S3_PUBLIC_URL")
    STORAGES["default"] = storage.bucket(
        S3_BUCKET,
        _public_url,
        prefix=env.str("S3_PREFIX", default=""),
        region=env.str("S3_REGION", default=""),
        endpoint_url=env.str("S3_ENDPOINT_URL", default=""),
        key_id=env.str("S3_ACCESS_KEY_ID", default=""),
        secret=env.str("S3_SECRET_ACCESS_KEY", default=""),
    )
    IMAGE_SOURCES.append(storage.origin(_public_url))

PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"
PROCRASTINATE_READONLY_MODELS = True
# What should have been done by the clock while no worker ran is made up for, once, if it was due
# within so many seconds: a night's work too, by whoever starts in the morning.
PROCRASTINATE_PERIODIC_DEFAULTS = {"max_delay": 25 * 3600}
if OTEL_EXPORTER_OTLP_ENDPOINT:
    from config import tracing

    PROCRASTINATE_WORKER_DEFAULTS = {"task_middleware": [tracing.of_job]}

# The least that is logged, and whether each request is, whatever that level.
_log_level = env.str("LOG_LEVEL", default="WARNING", validate=_LEVEL)
_log_requests = env.bool("LOG_REQUESTS", default=not HOLDFAST_DEMO)
LOGGING = logs.configuration(_log_level, requests=_log_requests, readable=HOLDFAST_DEMO)
LOGGING_CONFIG = "config.logs.configure"

# The look of the admin.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "api.store.title",
    "SITE_HEADER": "api.store.title",
    "SITE_SUBHEADER": "Stock that never oversells",
    "SITE_SYMBOL": "anchor",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("api/favicon.svg"),
        }
    ],
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "backoffice.gateways.environment",
    "DASHBOARD_CALLBACK": "backoffice.dashboard.shown",
    "STYLES": [lambda request: static("backoffice/admin.css")],
    "SCRIPTS": [
        lambda request: static("backoffice/admin.js"),
        lambda request: static("backoffice/dialog.js"),
    ],
    # A teal whose 600 is dark enough for white letters.
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#0f3f3c",
            "950": "#042f2e",
        },
    },
    "SIDEBAR": {"show_search": False, "navigation": "backoffice.menu.navigation"},
}

# All variables that there are.
VARIABLES = frozenset(env.names)
