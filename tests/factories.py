"""Customers with credits and keys, batches and how they end: made by the real services."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch, Item, Output, Status
from batches.signing_off import sign_off, signer_of
from customers.access import DEFAULT_SCOPES, Permission
from customers.models import ApiKey, Mode, Organization
from customers.services import create_api_key, create_member, create_staff
from ledger.approvals import approve, request_credits
from ledger.models import PILOT_CREDITS_MAX, CreditRequest, Entry, Wallet
from ledger.services import Movement, grant_on_basis, open_wallets
from sora2.canonical import sha256_hex
from sora2.ids import new_id

BASE = "/api/enterprise"
VIDEO = bytes(range(256)) * 40


class Api:
    """The HTTP API as the holder of a secret sees it; paths are below /api/enterprise."""

    def __init__(self, secret: str | None) -> None:
        self._client = Client(headers={"X-API-Key": secret} if secret is not None else {})

    def get(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """Send a GET; a path that starts with http is taken as an answer gave it."""
        return self._client.get(_path(path), query_params={**(query or {}), **more}, headers=headers)

    def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """Send a POST of `body` as JSON."""
        return self._client.post(_path(path), body, content_type="application/json", headers=headers)

    def patch(self, path: str, body: Any) -> Any:
        """Send a PATCH of `body` as JSON."""
        return self._client.patch(_path(path), body, content_type="application/json")

    def delete(self, path: str) -> Any:
        """Send a DELETE."""
        return self._client.delete(_path(path))

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "", **more: Any) -> Any:
        """Send anything."""
        # Django's client leaves out the type of an empty body.
        return self._client.generic(method, _path(path), body, CONTENT_TYPE=content_type, **more)


@dataclass(frozen=True)
class Account:
    """A customer with a wallet and a key in each mode."""

    organization: Organization
    wallets: Mapping[Mode, Wallet]
    secrets: Mapping[Mode, str]
    keys: Mapping[Mode, ApiKey]

    @property
    def api(self) -> Api:
        """The API with the live key."""
        return Api(self.secrets[Mode.LIVE])

    @property
    def test_api(self) -> Api:
        """The API with the test key."""
        return Api(self.secrets[Mode.TEST])

    def figures(self, mode: Mode = Mode.LIVE) -> tuple[int, int, int]:
        """Return what is available, reserved and settled."""
        wallet = Wallet.objects.get(pk=self.wallets[mode].pk)
        return wallet.available, wallet.reserved, wallet.settled


def make_account(credits: int = 1000, name: str = "Acme", **limits: int) -> Account:
    """Return a new customer with so many credits in each wallet; `limits` are fields of Organization."""
    limits.setdefault("rate_limit_per_minute", 1000)
    organization = Organization.objects.create(name=name, **limits)
    wallets = open_wallets(organization=organization)
    for wallet in wallets.values():
        if credits:
            fund(wallet, credits)
    made = {mode: create_api_key(organization=organization, mode=mode, name=mode.label) for mode in Mode}
    return Account(
        organization=organization,
        wallets=wallets,
        secrets={mode: secret for mode, (_, secret) in made.items()},
        keys={mode: key for mode, (key, _) in made.items()},
    )


def fund(wallet: Wallet, credits: int, *, reference: str = "") -> Entry:
    """Bring credits into a wallet: a test wallet's as play money, a live one's by a pilot's grant or two people."""
    movement = Movement(wallet_id=wallet.pk, reference=reference or f"grant {new_id('ref')}", actor="system")
    if wallet.mode == Mode.TEST:
        return grant_on_basis(movement=movement, amount=credits, basis=CreditRequest.Basis.SANDBOX)
    if credits <= PILOT_CREDITS_MAX and not CreditRequest.objects.filter(wallet=wallet).exists():
        return grant_on_basis(movement=movement, amount=credits, basis=CreditRequest.Basis.PILOT)
    asks, decides = (create_staff(username=new_id("usr"), role=role)[0] for role in ("finance", "finance approver"))
    request = request_credits(
        wallet=wallet,
        kind=Entry.Kind.GRANT,
        amount=credits,
        reference=movement.reference,
        reason="For a test",
        requested_by=asks,
    )
    return approve(request=request, decided_by=decides)


def api_with_scopes(
    organization: Organization, scopes: Iterable[Permission] = DEFAULT_SCOPES, mode: Mode = Mode.LIVE
) -> Api:
    """Return the API with a new key that has these scopes."""
    _, secret = create_api_key(organization=organization, mode=mode, name="scoped", scopes=scopes)
    return Api(secret)


def order(count: int = 1, *, request_id: Any = "order-1", **fields: Any) -> dict[str, Any]:
    """Return the body of a batch of `count` clips at 10 credits."""
    ids = {} if request_id is None else {"request_id": request_id}
    return {**ids, "items": [{"prompt": f"A cat, take {number}"} for number in range(count)], **fields}


def make_batch(api: Api, count: int = 1, **fields: Any) -> Batch:
    """Create a batch over HTTP and return it."""
    response = api.post("/video-batch", order(count, **fields))
    assert response.status_code == 201, response.content
    return Batch.objects.get(pk=response.json()["batch_id"])


def end_items(batch: Batch, *, succeeded: Sequence[int] = (), failed: Mapping[int, FailureType] | None = None) -> None:
    """End items by index as workers would, without a provider; those that succeed get a stored video."""
    rows = Item.objects.filter(batch=batch)
    ended: dict[str, Any] = {"stage": None, "due_at": None, "finished_at": timezone.now()}
    rows.filter(status=Status.PENDING, index__in=[*succeeded, *(failed or {})]).update(
        status=Status.RUNNING, attempts_made=1, started_at=timezone.now()
    )
    rows.filter(index__in=succeeded).update(status=Status.SUCCEEDED, **ended)
    for item in rows.filter(index__in=succeeded):
        name = default_storage.save(f"{item.pk}.mp4", ContentFile(VIDEO))
        sha256 = sha256_hex(item.pk)
        Output.objects.create(item=item, video=name, poster="", bytes=len(VIDEO), sha256=sha256, duration_ms=4000)
    for index, failure in (failed or {}).items():
        rows.filter(index=index).update(status=Status.FAILED, failure_type=failure, **ended)


def end_batch(batch: Batch, *, failed: Mapping[int, FailureType] | None = None) -> Batch:
    """End every item, those in `failed` as failures, and finalize the batch."""
    indexes = Item.objects.filter(batch=batch).values_list("index", flat=True)
    end_items(batch, succeeded=[index for index in indexes if index not in (failed or {})], failed=failed)
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    batch.refresh_from_db()
    return batch


def sign(batch: Batch) -> None:
    """Sign a batch off, as somebody of the customer's finance."""
    user, _ = create_member(organization=batch.organization, username=new_id("usr"), email="", role="customer finance")
    signer = signer_of(user, batch)
    assert signer is not None
    sign_off(batch=batch, signer=signer, note="", now=timezone.now())


def code_of(response: Any) -> tuple[int, str]:
    """Return status and code of an answer that must be a problem+json as documented."""
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert list(body)[:7] == ["ok", "type", "title", "status", "detail", "code", "trace_id"]
    assert (body["ok"], body["status"]) == (False, response.status_code)
    assert body["type"].endswith(f"/docs/errors#{body['code']}")
    assert body["trace_id"] == response.headers["X-Trace-Id"]
    return response.status_code, body["code"]


def _path(path: str) -> str:
    return path if path.startswith("http") else f"{BASE}{path}"
