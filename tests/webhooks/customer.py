"""What a customer does with webhook endpoints over HTTP, and what comes of it."""

from datetime import datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from customers.models import Mode
from tests.factories import Account, Api, code_of
from tests.webhooks.receivers import Received
from webhooks.models import Delivery, Endpoint, EventType, new_event_id
from webhooks.services import publish

URL = "https://example.com/hook"


def make(api: Api, url: str = URL, **fields: Any) -> tuple[Endpoint, str]:
    """Create an endpoint over HTTP; return it with its secret."""
    response = api.post("/webhook-endpoints", {"url": url, **fields})
    assert response.status_code == 201, response.content
    return Endpoint.objects.get(pk=response.json()["id"]), response.json()["secret"]


def tell(account: Account, event_type: EventType = EventType.BATCH_COMPLETED, *, at: datetime | None = None) -> str:
    """Publish an event, and let it have happened `at` a time; return its id."""
    event_id = new_event_id()
    publish(
        organization_id=account.organization.pk,
        mode=Mode.LIVE,
        event_type=event_type,
        event_id=event_id,
        body="{}",
        reference=f"ref_of_{event_id}",
    )
    if at is not None:
        Delivery.objects.filter(event=event_id).update(created_at=at)
    return event_id


def faults_of(response: Any) -> list[tuple[str, str]]:
    """Return pointer and code of each fault of a request that must have been refused for them."""
    assert code_of(response) == (422, "validation_error")
    return [(fault["pointer"], fault["code"]) for fault in response.json()["errors"]]


def signed_by(secret: str, request: Received) -> bool:
    try:
        Webhook(secret).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return True
