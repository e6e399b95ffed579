"""The onboarding document's internal checklist, each line as a check that is made for real against the running system.

All of it runs in test mode: it costs nobody a credit, and counts for no pilot. A check returns a sentence on what it
saw, and raises loop.StepFailed with what came instead and what to do. None is left out: one that needs what another
could not make fails too, and says so.
"""

import html
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

import jsonschema
from django.conf import settings
from drf_spectacular.validation import validate_schema
from structlog import get_logger

from pilots import loop
from pilots.node_example import run_example
from pilots.preflight_account import Account

log = get_logger(__name__)

# The rule of the document: who cannot complete the flow in ten minutes does not onboard the customer yet.
LIMIT_SECONDS = 600.0
BATCH_OPERATIONS = (
    ("post", "/video-batch"),
    ("post", "/video-batch/quote"),
    ("get", "/video-batch/{batch_id}"),
    ("get", "/video-batch/{batch_id}/items"),
    ("get", "/video-batch/{batch_id}/ledger"),
    ("get", "/video-batch/{batch_id}/proof"),
)


class Result(TypedDict):
    """How a check went, as it is kept."""

    name: str
    ok: bool
    seconds: float
    detail: str


@dataclass
class Course:
    """A run on its way: what it has, when it must be over, and what earlier checks have made for later ones."""

    account: Account
    until: float
    reference: str
    api: loop.Api = field(init=False)
    before: dict[str, Any] | None = None
    batch: dict[str, Any] | None = None
    event: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.api = loop.Api(self.account.api_key)

    @property
    def left(self) -> float:
        """Return the seconds that are left of the ten minutes."""
        return max(0.0, self.until - time.monotonic())

    @property
    def patience(self) -> float:
        """Return for how long a step may wait."""
        return min(loop.STEP_SECONDS, self.left)


def run_checks(account: Account, *, reference: str, began: float) -> Iterator[Result]:
    """Make each check in its order, and yield how it went."""
    course = Course(account=account, until=began + LIMIT_SECONDS, reference=reference)
    for name, check in CHECKS.items():
        yield _made(name, check, course)
    seconds = time.monotonic() - began
    yield Result(
        name=IN_TIME,
        ok=seconds < LIMIT_SECONDS,
        seconds=round(seconds, 2),
        detail=f"The whole flow took {seconds:.1f} s; it may take {LIMIT_SECONDS:.0f} s.",
    )


def _made(name: str, check: Callable[[Course], str], course: Course) -> Result:
    started = time.monotonic()
    try:
        if not course.left:
            raise loop.StepFailed("It was not begun: the ten minutes were over. Mend what took so long before it.")
        ok, detail = True, check(course)
    except loop.StepFailed as error:
        ok, detail = False, str(error)
    except Exception as error:  # A check that breaks is one that fails, and the others are made all the same.
        log.exception("preflight.check_broke", check=name)
        ok, detail = False, f"The check broke: {type(error).__name__}. The log has the rest (preflight.check_broke)."
    return Result(name=name, ok=ok, seconds=round(time.monotonic() - started, 2), detail=detail)


# --- the checks, in their order -------------------------------------------------------------------------------------


def _docs(_course: Course) -> str:
    response = _page(loop.session(), "/docs/enterprise")
    loop.same("the content type of /docs/enterprise", response.headers["Content-Type"].partition(";")[0], "text/html")
    return "/docs/enterprise answered 200."


def _schema(_course: Course) -> str:
    response = _page(loop.session(), "/openapi.json")
    try:
        schema = response.json()
        version = str(schema["openapi"])
        loop.same("the version of /openapi.json", version[:4], "3.1.")
        validate_schema(schema)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError) as error:
        raise loop.StepFailed(f"/openapi.json is no OpenAPI document: {type(error).__name__} {error}") from error
    except jsonschema.ValidationError as error:
        raise loop.StepFailed(f"/openapi.json is not valid at {error.json_path}: {error.message[:300]}") from error
    lacking = [f"{verb.upper()} {path}" for verb, path in BATCH_OPERATIONS if verb not in _operations(schema, path)]
    if lacking:
        raise loop.StepFailed(f"/openapi.json does not describe {', '.join(lacking)}. Is an older release running?")
    return f"/openapi.json is valid OpenAPI {version}, and describes the batch endpoints."


def _operations(schema: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["paths"].get(f"/api/enterprise{path}", {})
    return found


def _batch(course: Course) -> str:
    credits = loop.quote(course.api)
    # Enough for the example too, so that nothing is filled up in the middle of the flow.
    course.account.grant(amount=2 * credits, reference=f"{course.reference}:sandbox")
    before = course.api.get("/wallet")
    batch_id = loop.order(course.api, credits)
    course.batch, seen = loop.observe(course.api, batch_id, credits=credits, progress=_nobody, seconds=course.patience)
    course.before = before
    return f"Batch {batch_id} of {len(loop.PROMPTS)} items: {seen}. One item failed, and was refunded."


def _sink(course: Course) -> str:
    receiver = course.account.receiver
    if receiver is None:
        raise loop.StepFailed(course.account.no_receiver)
    course.event = loop.receive(
        endpoint_id=receiver.endpoint_id,
        secret=receiver.secret,
        batch=_needed(course.batch, "batch"),
        progress=_nobody,
        seconds=course.patience,
    )
    return f"batch.completed arrived ({course.event['event_id']}), its signature is right, its figures are the batch's."


def _ledger(course: Course) -> str:
    event = _needed(course.event, "sink")
    loop.check_books(course.api, event, _needed(course.before, "batch"))
    return f"{_equation(event['ledger'])} ✓: API, webhook, proof and wallet say the same."


def _dashboard(course: Course) -> str:
    batch = _needed(course.batch, "batch")
    client = _signed_in(course.account)
    equation = _equation(batch["ledger"])
    billing = f"/admin/batches/{batch['batch_id']}/billing"
    _shows(_page(client, billing).text, equation, billing)
    statement = f"/admin/ledger/{course.account.organization.pk}?mode=test"
    _shows(_page(client, statement).text, batch["request_id"], statement)
    return f"Signed in, Billing shows {equation}, and the statement the batch's entries."


def _node(course: Course) -> str:
    receiver = course.account.receiver
    if receiver is None:
        raise loop.StepFailed(f"The example needs its webhook. {course.account.no_receiver}")
    try:
        said = run_example(api_key=course.account.api_key, receiver=receiver, seconds=course.patience)
    except loop.StepFailed as error:
        raise loop.StepFailed(f"examples/node/batch_basic.ts: {error}") from error
    return f"examples/node/batch_basic.ts ended with: {said}"


CHECKS: dict[str, Callable[[Course], str]] = {
    "docs": _docs,
    "schema": _schema,
    "batch": _batch,
    "sink": _sink,
    "ledger": _ledger,
    "dashboard": _dashboard,
    "node": _node,
}
IN_TIME = "in_time"
# What each is called on pages, in the words of the onboarding document.
WORDS = {
    "docs": "/docs/enterprise is accessible",
    "schema": "/openapi.json is accessible",
    "batch": "A batch runs: pending → running → its end",
    "sink": "Internal webhook test endpoint receives events",
    "ledger": "reserved = settled + refunded",
    "dashboard": "Credits ledger is visible in dashboard",
    "node": "Node example batch_basic.ts runs",
    IN_TIME: "The whole flow in under ten minutes",
}


def words_of(name: str) -> str:
    """Return what a check is called; what is none of them is a run that was cut off."""
    return WORDS.get(name, "The run went to its end")


# --- what they share ------------------------------------------------------------------------------------------------


def _needed(made: dict[str, Any] | None, name: str) -> dict[str, Any]:
    if made is None:
        raise loop.StepFailed(f"It could not be checked, because this failed before: {WORDS[name]}. Mend that first.")
    return made


def _page(client: Any, path: str) -> Any:
    url = settings.PUBLIC_BASE_URL + path
    response = loop.send(client, "GET", url, allow_redirects=False)
    if response.status_code != 200:
        raise loop.StepFailed(f"{url} answered {response.status_code}, not 200. Is PUBLIC_BASE_URL this system's?")
    return response


def _signed_in(account: Account) -> Any:
    """Sign in as a customer's finance person does, and return the session."""
    client, url = loop.session(), f"{settings.PUBLIC_BASE_URL}/admin/login/"
    _page(client, "/admin/login/")
    given = {
        "username": account.username,
        "password": account.password,
        "csrfmiddlewaretoken": client.cookies.get(settings.CSRF_COOKIE_NAME, ""),
    }
    response = loop.send(client, "POST", url, data=given, headers={"Referer": url}, allow_redirects=False)
    if response.status_code != 302:
        raise loop.StepFailed(
            f"Signing in at {url} answered {response.status_code}, not 302: is the database the same?"
        )
    return client


def _shows(page: str, words: str, path: str) -> None:
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    if words not in re.sub(r"\s+", " ", text):
        raise loop.StepFailed(f"{path} does not show “{words}”.")


def _equation(ledger: dict[str, int]) -> str:
    """Return the equation as pages write it."""
    return "Reserved {reserved:,} = Settled {settled:,} + Refunded {refunded:,}".format(**ledger)


def _nobody(_word: str) -> None:
    """Nobody looks at passing words here."""
