"""`POST /webhook-sink/{token}`: what a receiver of webhooks would do, open to whoever knows the token."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from sora2.api import Problem, problem_page
from webhooks import sinks
from webhooks.models import SinkMessage


@csrf_exempt
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Take one message and say whether it verified: `{"ok": true, "verified": false, "fault": "…"}`."""
    try:
        message = _receive(request, token)
    except Problem as problem:
        return problem_page(problem)
    return JsonResponse({"ok": True, "verified": message.verified, "fault": message.fault})


def _receive(request: HttpRequest, token: str) -> SinkMessage:
    sink = sinks.sink_of_token(token) if settings.WEBHOOK_SINK_ENABLED else None
    if sink is None:
        raise Problem("not_found", "There is no sink at this address.")
    if request.method != "POST":
        raise Problem("method_not_allowed", "A sink takes POST only.", headers={"Allow": "POST"})
    try:
        return sinks.receive(sink=sink, headers=request.headers, body=_body(request), now=timezone.now())
    except sinks.SinkFlooded as error:
        detail = f"A sink takes {sinks.MESSAGES_PER_MINUTE} messages a minute."
        raise Problem("rate_limited", detail, headers={"Retry-After": "60"}) from error


def _body(request: HttpRequest) -> bytes:
    body = request.read(sinks.BODY_MAX_BYTES + 1)
    if len(body) > sinks.BODY_MAX_BYTES:
        kib = sinks.BODY_MAX_BYTES // 1024
        raise Problem("payload_too_large", f"A sink takes bodies of at most {kib} KiB.")
    return body
