"""Keys over HTTP: made, listed, rotated and revoked, and never handing out more than they have."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from customers import issuing
from customers.access import DEFAULT_SCOPES, SCOPES, Permission
from customers.keys import fingerprint, is_well_formed
from customers.models import ApiKey, AuditEvent, Mode
from customers.services import create_api_key, revoke_api_key
from sora2.times import timestamp
from tests.connections import at_once
from tests.factories import Account, Api, code_of, make_account, make_batch, order

pytestmark = pytest.mark.django_db

ORDER = {"name": "Nightly", "scopes": ["batches:read"]}


@pytest.fixture
def maker(account: Account) -> ApiKey:
    """A key that may do everything, without limits."""
    return make_key(account)[0]


@pytest.fixture
def api(account: Account) -> Api:
    """The API with another such key."""
    return make_key(account)[1]


def make_key(account: Account, mode: Mode = Mode.LIVE, **limits: Any) -> tuple[ApiKey, Api]:
    key, secret = create_api_key(
        organization=account.organization, mode=mode, name="Maker", **{"scopes": SCOPES, **limits}
    )
    return key, Api(secret)


def made_by(api: Api, **fields: Any) -> tuple[ApiKey, Api]:
    """Have a key made over HTTP; return it and the API with it."""
    response = api.post("/keys", {**ORDER, **fields})
    assert response.status_code == 201, response.content
    return ApiKey.objects.get(pk=response.json()["id"]), Api(response.json()["secret"])


def faults_of(response: Any) -> dict[str, str]:
    """Return the codes of a refusal by pointer."""
    assert code_of(response) == (422, "validation_error")
    return {fault["pointer"]: fault["code"] for fault in response.json()["errors"]}


# --- making --------------------------------------------------------------------------------------------------------


def test_a_new_key_works_and_its_secret_is_shown_once(account: Account, api: Api) -> None:
    until = timezone.now() + timedelta(days=1)
    body = {
        "name": " Nightly ",
        "scopes": ["batches:write", "batches:read"],
        "expires_at": timestamp(until),
        "budget_credits": 500,
        "allowed_networks": ["127.0.0.1", "2001:db8::/32"],
    }
    response = api.post("/keys", body)
    assert response.status_code == 201
    made = response.json()
    assert response.headers["Location"].endswith(f"/api/enterprise/keys/{made['id']}")
    assert is_well_formed(made["secret"])
    assert made["secret"].startswith(made["hint"])
    asked = {name: made[name] for name in body}
    assert asked == {**body, "name": "Nightly", "allowed_networks": ["127.0.0.1/32", "2001:db8::/32"]}
    assert (made["mode"], made["livemode"], made["used_credits"], made["remaining_credits"]) == ("live", True, 0, 500)
    own = Api(made["secret"])
    make_batch(own, 2)
    shown = api.get(f"/keys/{made['id']}").json()
    assert (shown["used_credits"], shown["remaining_credits"]) == (20, 480)
    assert shown["last_used_at"]
    assert "secret" not in shown
    assert ApiKey.objects.get(pk=made["id"]).secret_sha256 == fingerprint(made["secret"])


def test_no_secret_is_in_any_list(account: Account, api: Api) -> None:
    secret = api.post("/keys", ORDER).json()["secret"]
    text = api.get("/keys").content.decode()
    assert secret not in text
    assert fingerprint(secret) not in text
    assert "sha256" not in text


def test_the_list_goes_from_new_to_old_in_pages(account: Account, api: Api) -> None:
    made = [made_by(api, name=str(number))[0].pk for number in range(3)]
    first = api.get("/keys", limit=2).json()
    second = api.get("/keys", limit=2, cursor=first["next_cursor"]).json()
    assert [row["id"] for row in first["data"] + second["data"]][:3] == made[::-1]


def test_a_test_key_makes_test_keys_only(account: Account) -> None:
    _, api = make_key(account, Mode.TEST)
    made, own = made_by(api, scopes=["ledger:read"])
    assert made.mode == "test"
    assert own.get("/wallet").json()["livemode"] is False
    assert faults_of(api.post("/keys", {**ORDER, "mode": "live"})) == {"/mode": "unknown_field"}
    assert {row["mode"] for row in api.get("/keys").json()["data"]} == {"test"}


@pytest.mark.parametrize(
    ("field", "value", "pointer", "code"),
    [
        ("name", None, "/name", "required"),
        ("name", "  ", "/name", "invalid"),
        ("name", "x" * 101, "/name", "invalid"),
        ("name", "a\0b", "/name", "invalid"),
        ("scopes", None, "/scopes", "required"),
        ("scopes", [], "/scopes", "invalid"),
        ("scopes", ["batches:read", "batches:read"], "/scopes/1", "not_unique"),
        ("scopes", ["credits:approve"], "/scopes/0", "unknown_scope"),
        ("scopes", [{}], "/scopes/0", "unknown_scope"),
        ("expires_at", "2020-01-01T00:00:00Z", "/expires_at", "invalid"),
        ("expires_at", 7, "/expires_at", "invalid"),
        ("budget_credits", -1, "/budget_credits", "invalid"),
        ("budget_credits", True, "/budget_credits", "invalid"),
        ("budget_credits", 2**63, "/budget_credits", "invalid"),
        ("allowed_networks", "203.0.113.0/24", "/allowed_networks", "invalid"),
        ("allowed_networks", ["203.0.113.1/24"], "/allowed_networks/0", "invalid"),
        ("allowed_networks", [1], "/allowed_networks/0", "invalid"),
        ("allowed_networks", ["10.0.0.1", "::ffff:10.0.0.1"], "/allowed_networks/1", "not_unique"),
        ("allowed_networks", ["10.0.0.1"] * 51, "/allowed_networks", "invalid"),
        ("colour", "red", "/colour", "unknown_field"),
    ],
)
def test_a_fault_is_named(api: Api, field: str, value: Any, pointer: str, code: str) -> None:
    before = ApiKey.objects.count()
    assert faults_of(api.post("/keys", {**ORDER, field: value})) == {pointer: code}
    assert ApiKey.objects.count() == before


def test_an_address_in_a_network_is_told_the_network(api: Api) -> None:
    fault = api.post("/keys", {**ORDER, "allowed_networks": ["203.0.113.7/24"]}).json()["errors"][0]
    assert "203.0.113.0/24" in fault["detail"]


def test_there_are_so_many_keys_and_no_more(account: Account, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing, "KEYS_MOST", ApiKey.objects.filter(mode="live").count() + 1)
    made, _ = made_by(api)
    assert faults_of(api.post("/keys", ORDER)) == {"": "too_many"}
    api.post(f"/keys/{made.pk}/revoke")
    made_by(api)


# --- no key hands out more than it has -----------------------------------------------------------------------------

SOON = datetime(2999, 1, 1, tzinfo=UTC)
LIMITED: Mapping[str, Any] = {
    "scopes": [Permission.KEYS_WRITE, Permission.BATCHES_READ],
    "expires_at": SOON,
    "budget_credits": 100,
    "allowed_networks": ["127.0.0.0/8", "2001:db8::/32"],
}
FITTING = {**ORDER, "budget_credits": 0}


@pytest.mark.parametrize(
    ("field", "value", "pointer", "code"),
    [
        ("scopes", ["batches:read", "batches:write"], "/scopes/1", "exceeds_own"),
        ("expires_at", timestamp(SOON + timedelta(seconds=1)), "/expires_at", "exceeds_own"),
        ("budget_credits", None, "/budget_credits", "required"),
        ("budget_credits", 101, "/budget_credits", "exceeds_own"),
        ("allowed_networks", [], "/allowed_networks", "exceeds_own"),
        ("allowed_networks", ["127.0.0.1", "10.0.0.0/8"], "/allowed_networks", "exceeds_own"),
        ("allowed_networks", ["0.0.0.0/0"], "/allowed_networks", "exceeds_own"),
        ("allowed_networks", ["126.0.0.0/7"], "/allowed_networks", "exceeds_own"),
        ("allowed_networks", ["::/0"], "/allowed_networks", "exceeds_own"),
        ("allowed_networks", ["::ffff:10.0.0.1"], "/allowed_networks", "exceeds_own"),
    ],
)
def test_a_limited_key_makes_none_that_is_less_limited(
    account: Account, field: str, value: Any, pointer: str, code: str
) -> None:
    _, api = make_key(account, **LIMITED)
    assert faults_of(api.post("/keys", {**FITTING, field: value})) == {pointer: code}


def test_limits_are_handed_on_where_nothing_is_said(account: Account) -> None:
    _, api = make_key(account, **LIMITED)
    made, _ = made_by(api, budget_credits=40)
    assert (made.expires_at, made.allowed_networks) == (SOON, LIMITED["allowed_networks"])


def test_a_budget_is_handed_over_and_not_copied(account: Account) -> None:
    maker, api = make_key(account, **LIMITED)
    made_by(api, budget_credits=60)
    assert faults_of(api.post("/keys", {**FITTING, "budget_credits": 41})) == {"/budget_credits": "exceeds_own"}
    made_by(api, budget_credits=40)
    assert ApiKey.objects.get(pk=maker.pk).remaining_credits == 0


@pytest.mark.django_db(transaction=True)
def test_a_budget_is_handed_over_once_whoever_comes_at_once() -> None:
    account = make_account()
    maker, api = make_key(account, scopes=SCOPES, budget_credits=100)
    answers: list[Any] = at_once(*[lambda: api.post("/keys", {**ORDER, "budget_credits": 60})] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert ApiKey.objects.get(pk=maker.pk).budget_credits == 40


@pytest.mark.parametrize(
    "limits",
    [
        {"scopes": [Permission.KEYS_WRITE]},
        {"expires_at": SOON},
        {"allowed_networks": ["127.0.0.1/32"]},
        {"budget_credits": 5},
    ],
)
def test_a_limited_key_does_not_learn_the_secret_of_one_that_can_do_more(
    account: Account, limits: dict[str, Any]
) -> None:
    target, _ = make_key(account)
    asker, api = make_key(account, **limits)
    assert faults_of(api.post(f"/keys/{target.pk}/rotate")) == {"": "exceeds_own"}
    assert ApiKey.objects.get(pk=target.pk).secret_sha256 == target.secret_sha256
    assert api.post(f"/keys/{asker.pk}/rotate").status_code == 200


def test_a_key_with_a_budget_rotates_those_that_it_has_made(account: Account) -> None:
    _, api = make_key(account, **LIMITED)
    made, _ = made_by(api, budget_credits=40)
    assert api.post(f"/keys/{made.pk}/rotate").status_code == 200


def test_a_limited_key_may_revoke_any(account: Account, maker: ApiKey) -> None:
    _, api = make_key(account, **LIMITED)
    assert api.post(f"/keys/{maker.pk}/revoke").json()["revoked_at"]


# --- rotating ------------------------------------------------------------------------------------------------------


def test_rotating_keeps_the_key_and_both_secrets_work_for_a_day(account: Account, api: Api) -> None:
    key, old = made_by(api, scopes=["batches:write", "batches:read", "ledger:read"], budget_credits=100)
    make_batch(old, 3)
    response = api.post(f"/keys/{key.pk}/rotate")
    rotated = response.json()
    assert (rotated["id"], rotated["used_credits"], rotated["remaining_credits"]) == (key.pk, 30, 70)
    assert rotated["secret"].startswith(rotated["hint"])
    assert api.get(f"/keys/{key.pk}").json()["secret_rotating_until"] == rotated["secret_rotating_until"]
    until = datetime.fromisoformat(rotated["secret_rotating_until"])
    assert abs(until - timezone.now() - timedelta(hours=24)) < timedelta(minutes=5)
    new = Api(rotated["secret"])
    assert old.get("/wallet").status_code == new.get("/wallet").status_code == 200
    make_batch(old, 2, request_id="order-2")
    make_batch(new, 2, request_id="order-3")
    assert ApiKey.objects.get(pk=key.pk).used_credits == 70


def test_the_old_secret_ends_with_the_overlap(account: Account, api: Api) -> None:
    key, old = made_by(api, scopes=["ledger:read"])
    api.post(f"/keys/{key.pk}/rotate", {"overlap_hours": 1})
    assert old.get("/wallet").status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(previous_secret_until=timezone.now() - timedelta(seconds=1))
    assert code_of(old.get("/wallet")) == (401, "invalid_api_key")
    assert api.get(f"/keys/{key.pk}").json()["secret_rotating_until"] is None


def test_without_an_overlap_the_old_secret_ends_at_once(account: Account, api: Api) -> None:
    key, old = made_by(api, scopes=["ledger:read"])
    rotated = api.post(f"/keys/{key.pk}/rotate", {"overlap_hours": 0}).json()
    assert rotated["secret_rotating_until"] is None
    assert old.get("/wallet").status_code == 401
    assert Api(rotated["secret"]).get("/wallet").status_code == 200


def test_two_secrets_work_at_most(account: Account, api: Api) -> None:
    key, first = made_by(api, scopes=["ledger:read"])
    secrets = [api.post(f"/keys/{key.pk}/rotate").json()["secret"] for _ in range(2)]
    assert [first.get("/wallet").status_code, *(Api(s).get("/wallet").status_code for s in secrets)] == [401, 200, 200]


@pytest.mark.parametrize("hours", [-1, 169, 1.5, "1", True])
def test_an_overlap_is_0_to_168_hours(api: Api, maker: ApiKey, hours: object) -> None:
    assert faults_of(api.post(f"/keys/{maker.pk}/rotate", {"overlap_hours": hours})) == {"/overlap_hours": "invalid"}


def test_a_key_that_has_ended_is_not_rotated(account: Account, api: Api, maker: ApiKey) -> None:
    now = timezone.now()
    revoke_api_key(key=maker, now=now)
    expired, _ = make_key(account, expires_at=now - timedelta(seconds=1))
    for key in (maker, expired):
        assert faults_of(api.post(f"/keys/{key.pk}/rotate")) == {"": "key_ended"}


# --- revoking ------------------------------------------------------------------------------------------------------


def test_a_revoked_key_ends_with_the_next_request_with_both_its_secrets(account: Account, api: Api) -> None:
    key, old = made_by(api, scopes=["ledger:read"])
    new = Api(api.post(f"/keys/{key.pk}/rotate").json()["secret"])
    assert (old.get("/wallet").status_code, new.get("/wallet").status_code) == (200, 200)
    revoked = api.post(f"/keys/{key.pk}/revoke")
    assert revoked.status_code == 200
    assert (old.get("/wallet").status_code, new.get("/wallet").status_code) == (401, 401)
    again = api.post(f"/keys/{key.pk}/revoke")
    assert again.json() == revoked.json()
    assert AuditEvent.objects.filter(action="key.revoke", subject=key.pk).count() == 1


def test_a_key_may_revoke_itself(account: Account) -> None:
    key, api = make_key(account)
    assert api.post(f"/keys/{key.pk}/revoke").status_code == 200
    assert api.get("/keys").status_code == 401


def test_batches_of_a_revoked_key_go_on_and_their_refunds_are_counted(account: Account, api: Api) -> None:
    key, own = made_by(api, scopes=["batches:write"], budget_credits=30)
    batch = make_batch(own, 3)
    api.post(f"/keys/{key.pk}/revoke")
    assert api.post(f"/video-batch/{batch.pk}/cancel").status_code == 200
    assert ApiKey.objects.get(pk=key.pk).used_credits == 0


# --- audit and commands --------------------------------------------------------------------------------------------


def test_everything_is_written_down_without_a_secret(account: Account) -> None:
    maker, api = make_key(account)
    response = api.post("/keys", {**ORDER, "budget_credits": 7})
    key_id, secrets = response.json()["id"], [response.json()["secret"]]
    secrets.append(api.post(f"/keys/{key_id}/rotate", {"overlap_hours": 3}).json()["secret"])
    api.post(f"/keys/{key_id}/revoke")
    events = AuditEvent.objects.filter(subject=key_id).order_by("pk")
    assert [(event.action, event.actor, event.mode) for event in events] == [
        (f"key.{act}", maker.pk, "live") for act in ("create", "rotate", "revoke")
    ]
    assert events[0].detail["budget_credits"] == 7
    assert events[1].detail["overlap_hours"] == 3
    told = str(list(AuditEvent.objects.values()))
    assert not [secret for secret in secrets if secret in told or fingerprint(secret) in told]


def test_an_organizations_first_key_comes_from_us(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "create_api_key",
        account.organization.pk,
        *("--name", "Admin", "--mode", "live", "--scope", "keys:write", "--scope", "ledger:read"),
        *("--budget", "9", "--network", "127.0.0.1"),
    )
    key_id, secret = capsys.readouterr().out.split()
    key = ApiKey.objects.get(pk=key_id)
    assert (key.scopes, key.budget_credits, key.allowed_networks) == (
        ["keys:write", "ledger:read"],
        9,
        ["127.0.0.1/32"],
    )
    assert Api(secret).get("/keys").status_code == 200


@pytest.mark.parametrize(
    "wrong", [["--network", "x"], ["--budget", "-1"], ["--expires-at", "2020-01-01T00:00:00Z"], ["--expires-at", "x"]]
)
def test_the_command_refuses_what_is_wrong(account: Account, wrong: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_key", account.organization.pk, "--name", "x", *wrong)
    with pytest.raises(CommandError):
        call_command("create_api_key", "org_none", "--name", "x")


def test_a_pilots_keys_cannot_make_keys(account: Account) -> None:
    assert Permission.KEYS_WRITE not in DEFAULT_SCOPES
    response = account.api.get("/keys")
    assert code_of(response) == (403, "insufficient_scope")
    assert response.json()["scope"] == "keys:write"
    assert account.api.post("/video-batch/quote", order()).status_code == 200
