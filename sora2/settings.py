"""The one settings file. Every difference between machines comes from the environment.

Each setting is described in docs/reference/settings.md; a test keeps the two equal.
"""

import base64
import hashlib
from datetime import timedelta
from pathlib import Path

import environ
import structlog

from sora2.brokers import broker_url
from sora2.redaction import without_tokens

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATABASE_URL = env.str("DATABASE_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="")
# A machine with the embedded database is a developer's; a deployment names its database.
DEBUG = env.bool("DEBUG", default=not DATABASE_URL)
SECRET_KEY = env.str("SECRET_KEY", default="insecure-development-key" if DEBUG else "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"] if DEBUG else [])
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="support@example.com")
SORA2_DATA_DIR = Path(env.str("SORA2_DATA_DIR", default=str(BASE_DIR / ".sora2"))).resolve()

# Without ENCRYPTION_KEYS the key is derived from SECRET_KEY: fine for development, refused by a check outside DEBUG.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[]) or [
    base64.urlsafe_b64encode(hashlib.sha256(b"sora2:" + SECRET_KEY.encode()).digest()).decode()
]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "sora2.apps.Sora2AdminConfig",
    "sora2.apps.Sora2Config",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "django_htmx",
    "axes",
    "django_otp",
    "customers",
    "ledger",
    "webhooks",
    "batches",
    "pilots",
]
MIDDLEWARE = [
    "sora2.tracing.TraceMiddleware",
    "sora2.handlers.BodilessHeadMiddleware",
    "sora2.handlers.DatabaseDownMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "customers.sessions.SessionLimitsMiddleware",
    "sora2.security.ContentSecurityPolicyMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "sora2.urls"
WSGI_APPLICATION = "sora2.wsgi.application"
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["sora2.templatetags.figures"],
        },
    }
]

# --- database and broker -------------------------------------------------------------------------------------------
# Without DATABASE_URL or REDIS_URL the embedded servers are used: sora2.embedded starts them and sets both variables.
DATABASES = {"default": env.db_url_config(DATABASE_URL or "postgres://postgres@/sora2")}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)
# A client that hangs in a transaction keeps a wallet from its customer: who waits for it gives up, and then the server
# gives up the client. 0 sends nothing; what DATABASE_URL itself says comes after, and counts.
DATABASE_TIMEOUTS = {
    "lock_timeout": env.float("DATABASE_LOCK_TIMEOUT_SECONDS", default=10.0),
    "idle_in_transaction_session_timeout": env.float("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", default=60.0),
}
DATABASES["default"]["OPTIONS"]["options"] = " ".join(
    [
        *(f"-c {name}={seconds * 1000:.0f}" for name, seconds in DATABASE_TIMEOUTS.items() if seconds),
        DATABASES["default"]["OPTIONS"].get("options", ""),
    ]
).strip()
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE_SECONDS", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CELERY_BROKER_URL = broker_url(REDIS_URL or "redis://127.0.0.1:6379/0")
# A broker that hangs holds a request, whose bell it does not hear, no longer than this.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "socket_keepalive": True,
    "visibility_timeout": 3600,
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_RESULT_BACKEND = "django-db"
CELERY_TASK_IGNORE_RESULT = True
# Far above what a run takes: two minutes of claiming, and then the slowest call that is under way (a download with its
# probe). A limit that cut those off would throw away what the others have brought.
CELERY_TASK_SOFT_TIME_LIMIT = 300
CELERY_TASK_TIME_LIMIT = 330
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# How many processes a machine's worker has: of each kind of work that may be slow, only a part may be at it at once.
WORKER_PROCESSES = env.int("WORKER_PROCESSES", default=6)
# A worker that hears no bell for so long, with nothing under way, ends itself, to be started anew. 0: it never does.
WORKER_SILENCE_SECONDS = env.float("WORKER_SILENCE_SECONDS", default=60.0)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# The sweep: whatever is due and was not rung for is found within a second. A bell nobody took in time is stale.
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=1.0)
RECONCILE_SECONDS = env.float("RECONCILE_SECONDS", default=300.0)
SEAL_SECONDS = env.float("SEAL_SECONDS", default=3600.0)
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}}
    for name in (
        *("batches.submit", "batches.lookup", "batches.poll", "batches.collect", "batches.sweep"),
        "webhooks.deliver",
    )
} | {
    "batches.reconcile": {
        "task": "batches.reconcile",
        "schedule": RECONCILE_SECONDS,
        "options": {"expires": RECONCILE_SECONDS},
    },
    "batches.credits_low": {"task": "batches.credits_low", "schedule": 5.0, "options": {"expires": 5.0}},
    "ledger.mail_lows": {"task": "ledger.mail_lows", "schedule": 60.0, "options": {"expires": 60.0}},
    "ledger.mail_invoices": {"task": "ledger.mail_invoices", "schedule": 60.0, "options": {"expires": 60.0}},
    # It asks the last seal whether it is due, so that beat may be restarted as often as it likes.
    "ledger.seal": {"task": "ledger.seal", "schedule": min(SEAL_SECONDS, 60.0), "options": {"expires": 60.0}},
    "ledger.days": {"task": "ledger.days", "schedule": 60.0, "options": {"expires": 60.0}},
    # Whoever asks for a run rings; this finds what no worker took in time, and what one began and did not survive.
    "ledger.month_run": {"task": "ledger.month_run", "schedule": 60.0, "options": {"expires": 60.0}},
    "batches.waiting": {"task": "batches.waiting", "schedule": 60.0, "options": {"expires": 60.0}},
    # Of a minute it asks once; a bell that is lost, or late, must not cost a minute.
    "batches.probe_availability": {
        "task": "batches.probe_availability",
        "schedule": 20.0,
        "options": {"expires": 20.0},
    },
    "webhooks.judge_endpoints": {"task": "webhooks.judge_endpoints", "schedule": 60.0, "options": {"expires": 60.0}},
    # Whoever asks for one rings; this finds what no worker took in time.
    "pilots.preflight": {"task": "pilots.preflight", "schedule": 10.0, "options": {"expires": 10.0}},
    "customers.forget_sessions": {"task": "customers.forget_sessions", "schedule": 3600.0},
    "customers.wipe_handovers": {"task": "customers.wipe_handovers", "schedule": 600.0, "options": {"expires": 600.0}},
    "webhooks.purge_sinks": {"task": "webhooks.purge_sinks", "schedule": 3600.0},
    "batches.purge_outputs": {"task": "batches.purge_outputs", "schedule": 600.0, "options": {"expires": 600.0}},
}

# --- availability, as it is promised under a contract ----------------------------------------------------------------

# Where probes go in: empty is PUBLIC_BASE_URL, where customers do.
SLA_PROBE_URL = env.str("SLA_PROBE_URL", default="").rstrip("/")
SLA_BATCH_MINUTES = env.int("SLA_BATCH_MINUTES", default=15)
SLA_BATCH_SECONDS = env.float("SLA_BATCH_SECONDS", default=300.0)

# --- who sends our invoices -----------------------------------------------------------------------------------------

# Under DEBUG there is a stand-in, so that the whole way of an invoice can be tried. Lines are separated by \\n.
SELLER_LEGAL_NAME = env.str("SELLER_LEGAL_NAME", default="Sora2 Enterprise (development)" if DEBUG else "")
SELLER_ADDRESS = env.str("SELLER_ADDRESS", default="1 Example Street\\nExample City" if DEBUG else "")
SELLER_COUNTRY = env.str("SELLER_COUNTRY", default="US")
SELLER_TAX_ID = env.str("SELLER_TAX_ID", default="")
SELLER_BANK = env.str("SELLER_BANK", default="No bank account: this is a development server." if DEBUG else "")

# --- seals over the ledger -----------------------------------------------------------------------------------------
# The private key is outside the database on purpose: whoever owns the tables cannot sign what they made of them.
# Derived under DEBUG as above; outside it the check sora2.E008 asks for one.
SEAL_SIGNING_KEY = env.str("SEAL_SIGNING_KEY", default="") or (
    base64.b64encode(hashlib.sha256(b"sora2:seal:" + SECRET_KEY.encode()).digest()).decode()
)
SEAL_RETIRED_KEYS = env.list("SEAL_RETIRED_KEYS", default=[])
SEAL_DIR = Path(env.str("SEAL_DIR", default=str(SORA2_DATA_DIR / "seals"))).resolve()

# --- providers -----------------------------------------------------------------------------------------------------
PROVIDER_OPENAI_BASE_URL = env.str("PROVIDER_OPENAI_BASE_URL", default="")
PROVIDER_OPENAI_API_KEY = env.str("PROVIDER_OPENAI_API_KEY", default="")
PROVIDER_OPENAI_MAX_IN_FLIGHT = env.int("PROVIDER_OPENAI_MAX_IN_FLIGHT", default=100)
# Where test mode runs, always; on a developer's machine live mode too, while PROVIDER_OPENAI_BASE_URL is not set.
# Outside DEBUG the check sora2.E007 asks for a provider: nobody pays for simulated clips.
PROVIDER_SIMULATOR_BASE_URL = env.str("PROVIDER_SIMULATOR_BASE_URL", default="http://127.0.0.1:8199/v1")
PROVIDER_SIMULATOR_MAX_IN_FLIGHT = env.int("PROVIDER_SIMULATOR_MAX_IN_FLIGHT", default=100)
# Nobody who tries a sandbox wants to wait for a quarter of an hour to see what a time-out looks like.
PROVIDER_SIMULATOR_DEADLINE_SECONDS = env.float("PROVIDER_SIMULATOR_DEADLINE_SECONDS", default=120.0)
# From its first submit, where the catalogue says nothing of the model; and how long an item may wait for that.
ITEM_DEADLINE_SECONDS = env.float("ITEM_DEADLINE_SECONDS", default=3600.0)
ITEM_WAIT_SECONDS = env.float("ITEM_WAIT_SECONDS", default=604_800.0)
COLLECT_DEADLINE_SECONDS = env.float("COLLECT_DEADLINE_SECONDS", default=600.0)
SUBMIT_TIMEOUT_SECONDS = env.float("SUBMIT_TIMEOUT_SECONDS", default=30.0)
DOWNLOAD_TIMEOUT_SECONDS = env.float("DOWNLOAD_TIMEOUT_SECONDS", default=90.0)
LOOKUP_GRACE_SECONDS = env.float("LOOKUP_GRACE_SECONDS", default=3.0)
POLL_SECONDS = env.float("POLL_SECONDS", default=2.0)
OUTPUT_MAX_BYTES = env.int("OUTPUT_MAX_BYTES", default=512 * 1024 * 1024)

# --- videos --------------------------------------------------------------------------------------------------------
# Videos and posters are files below MEDIA_ROOT, or objects once S3_BUCKET names a bucket. sora2.E009 checks the rest.
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(SORA2_DATA_DIR / "media"))
S3_BUCKET = env.str("S3_BUCKET", default="")
S3_PREFIX = env.str("S3_PREFIX", default="").strip("/")
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", default="").rstrip("/")
S3_PUBLIC_ENDPOINT_URL = env.str("S3_PUBLIC_ENDPOINT_URL", default="").rstrip("/")
S3_REGION = env.str("S3_REGION", default="us-east-1")
S3_ACCESS_KEY_ID = env.str("S3_ACCESS_KEY_ID", default="")
S3_SECRET_ACCESS_KEY = env.str("S3_SECRET_ACCESS_KEY", default="")
S3_ADDRESSING_STYLE = env.str("S3_ADDRESSING_STYLE", default="path" if S3_ENDPOINT_URL else "auto")
OUTPUT_URL_SECONDS = env.int("OUTPUT_URL_SECONDS", default=900)
STORAGES = {
    "default": {
        "BACKEND": "batches.object_storage.ObjectStorage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "location": S3_PREFIX,
            "endpoint_url": S3_ENDPOINT_URL or None,
            "public_endpoint_url": S3_PUBLIC_ENDPOINT_URL or None,
            "region_name": S3_REGION,
            "access_key": S3_ACCESS_KEY_ID or None,
            "secret_key": S3_SECRET_ACCESS_KEY or None,
            "addressing_style": S3_ADDRESSING_STYLE,
        },
    }
    if S3_BUCKET
    else {"BACKEND": "batches.storage.FileStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- webhooks ------------------------------------------------------------------------------------------------------
# Development only; the check sora2.E003 refuses it outside DEBUG.
WEBHOOK_DEV_ALLOWED_TARGETS = env.list("WEBHOOK_DEV_ALLOWED_TARGETS", default=[])
WEBHOOK_SINK_ENABLED = env.bool("WEBHOOK_SINK_ENABLED", default=DEBUG)
# What the public documentation says of where messages come from: for customers whose firewall wants to know.
WEBHOOK_SOURCE_ADDRESSES = env.list("WEBHOOK_SOURCE_ADDRESSES", default=[])

# --- metrics -------------------------------------------------------------------------------------------------------
# Without a token `/metrics` answers under DEBUG only.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- API -----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["customers.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["customers.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["sora2.api.JsonObjectParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "sora2.api.problem_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sora2 Enterprise API",
    "VERSION": "1.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/enterprise",
}
# How many proxies of ours write X-Forwarded-For before a request is here: a key's allow-list looks at the entry of the
# outermost. The check sora2.E012 refuses a negative number.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

# --- people --------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "customers.User"
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_HTTPONLY = True
SESSION_IDLE_MINUTES = env.int("SESSION_IDLE_MINUTES", default=60)
SESSION_MAX_HOURS = env.int("SESSION_MAX_HOURS", default=12)
SESSION_COOKIE_AGE = SESSION_MAX_HOURS * 3600
# Under DEBUG nobody has a phone at hand; the check sora2.W002 warns of a deployment without it.
STAFF_TWO_STEP_REQUIRED = env.bool("STAFF_TWO_STEP_REQUIRED", default=not DEBUG)
# Who guesses (see customers.guessing). The name alone is never locked: a stranger could keep its owner out.
SIGN_IN_FAILURES = env.int("SIGN_IN_FAILURES", default=5)
SIGN_IN_FAILURES_PER_ADDRESS = env.int("SIGN_IN_FAILURES_PER_ADDRESS", default=50)
SIGN_IN_LOCK_MINUTES = env.int("SIGN_IN_LOCK_MINUTES", default=15)
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "customers.guessing.Counter"
AXES_CLIENT_IP_CALLABLE = "customers.guessing.address_of"
AXES_LOCKOUT_CALLABLE = "customers.guessing.locked_out"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = SIGN_IN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=SIGN_IN_LOCK_MINUTES)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
# The audit log tells who signed in and who failed; of axes' tables only the counters are used, which axes empties.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_BASE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"

# --- time, files, logs ---------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True
# Times on Django's own pages; ours say the zone themselves.
FORMAT_MODULE_PATH = ["sora2.formats"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
WHITENOISE_USE_FINDERS = True
EMAIL_BACKEND = (
    "django.core.mail.backends.filebased.EmailBackend" if DEBUG else "django.core.mail.backends.smtp.EmailBackend"
)
EMAIL_FILE_PATH = str(SORA2_DATA_DIR / "mail")
# A mail server, as in smtp+tls://user:password@mail.example.com:587; under DEBUG mails are files until it is set.
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    vars().update(env.email_url_config(EMAIL_URL))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=SUPPORT_EMAIL)
EMAIL_TIMEOUT = 20

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
                without_tokens,
            ],
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "axes": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "kombu": {"level": "ERROR"},
        "urllib3": {"level": "ERROR"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
