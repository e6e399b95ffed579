"""What there is to act on, and how each act of a person is done on its page, by a superuser or by whose it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.forms import Form
from django.test import Client
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch
from batches.reconciliation import reconcile
from customers.key_forms import KeyForm
from customers.models import Mode, OneTimeLink, User
from customers.services import create_member, create_staff
from ledger.approvals import request_credits
from ledger.invoices.credit_notes import effect_seen
from ledger.invoices.issuing import seen_of
from ledger.models import CreditRequest, Entry, Invoice
from pilots.boundary import BOUNDARY
from pilots.models import Lead, Pilot, SalesMail
from pilots.provisioning_forms import PilotForm
from pilots.services import PilotOrder, provision_pilot
from sora2.seen import seen_name
from tests.batches.test_acts import retry_form
from tests.batches.test_ordering import confirm, of_staff
from tests.customers.test_two_step import PASSWORD, code_of, give_password, next_code, set_up
from tests.factories import Account, end_batch, make_batch
from tests.invoices import Desk, make_desk
from tests.markup import form_to, forms_of
from tests.people import member
from tests.pilots.scenes import pilot_of
from tests.webhooks.page_scenes import endpoint_of, tell, tried
from webhooks.changing import seen_value
from webhooks.endpoints import create_default_secret
from webhooks.models import Delivery, Endpoint

CONFIRM = {"step": "confirm"}
TICK = {"item": "webhook_guide", "act": "tick"}


@dataclass(frozen=True)
class Scene:
    """What there is to act on, and a superuser who does."""

    account: Account
    client: Client

    @property
    def user(self) -> User:
        return User.objects.get(pk=self.client.session["_auth_user_id"])

    @property
    def owner(self) -> str:
        return self.account.organization.pk

    def batch(self) -> Batch:
        return end_batch(make_batch(self.account.api))

    def endpoint(self) -> Endpoint:
        return endpoint_of(self.account.organization)

    def delivery(self) -> Delivery:
        self.endpoint()
        [told] = tell(self.account.organization)
        return tried(told, Delivery.State.EXHAUSTED)

    def asked(self) -> CreditRequest:
        return request_credits(
            wallet=self.account.wallets[Mode.LIVE],
            kind=Entry.Kind.ADJUSTMENT_IN,
            amount=20,
            reason="Goodwill",
            evidence_url="https://tickets.example/1",
            requested_by=create_staff(username="asker", role="finance")[0],
        )

    def owned(self, act: str, **form: Any) -> Any:
        return self.client.post(f"/admin/{act.format(self.owner)}", form)

    def rotate(self, address: str) -> Any:
        shown = self.client.get(address).context["rotate"]
        return self.client.post(f"{address}/rotate", {"seen": shown["seen"].value(), "overlap_hours": "24"})

    def on_key(self, act: str, **form: Any) -> Any:
        page = f"/admin/customers/{self.owner}/keys/{self.account.keys[Mode.TEST].pk}"
        if act == "rotate":
            return self.rotate(page)
        return self.client.post(f"{page}/{act}", form)

    def on_endpoint(self, act: str, **form: Any) -> Any:
        return self.client.post(f"/admin/webhooks/endpoints/{self.endpoint().pk}/{act}", form)


def default_secret(scene: Scene) -> Any:
    create_default_secret(organization=scene.account.organization)
    return scene.rotate(f"/admin/webhooks/secrets/{scene.owner}")


def token_of(form: type[Form]) -> str:
    return str(form.base_fields["token"].initial())


def make_a_key(scene: Scene) -> Any:
    form = {"token": token_of(KeyForm), "mode": "test", "name": "Nightly", "scopes": ["batches:read"]}
    return scene.owned("customers/{}/keys/new", **form)


def make_endpoint(scene: Scene) -> Any:
    form = {"customer": scene.owner, "mode": "live", "url": "https://example.com/new", "events": "batch.completed"}
    return scene.client.post("/admin/webhooks/endpoints/new", form)


def change_endpoint_on_a_page(scene: Scene) -> Any:
    endpoint = scene.endpoint()
    form = {"what": "description", "seen": seen_value(endpoint, "description"), "value": "The shop's"}
    return scene.client.post(f"/admin/webhooks/endpoints/{endpoint.pk}/change", form)


def grant(scene: Scene) -> Any:
    asked = {"organization": scene.owner, "mode": "live", "kind": "grant", "amount": "5", "reference": "INV-1"}
    more = {"about": "", "reason": "Paid", "evidence_url": "https://tickets.example/1"}
    return scene.client.post("/admin/ledger/requests/new", {**asked, **more, **CONFIRM})


def tick_by_a_customer(scene: Scene) -> Any:
    address = f"/admin/pilots/{pilot_of(scene.account).pk}/own-checklist/tick"
    return member(scene.account.organization).post(address, {**TICK, "item": "fields_read"})


def new_settings(scene: Scene) -> None:
    address = f"/admin/customers/{scene.owner}/settings"
    scene.client.post(
        address, {**form_to(forms_of(scene.client.get(address)), address).fields, "time_zone": "Asia/Tokyo"}
    )


def order_on_a_page(scene: Scene) -> None:
    confirm(scene.client, of_staff(scene.account))


def retry_on_its_page(scene: Scene) -> None:
    batch = end_batch(make_batch(scene.account.api), failed={0: FailureType.TIMEOUT})
    scene.client.post(f"/admin/batches/{batch.pk}/retry", retry_form(scene.client, batch, reason="Asked for"))


def by_form(scene: Scene, address: str, /, **changed: str) -> None:
    form = form_to(forms_of(scene.client.get(address)), address)
    scene.client.post(address, {**form.fields, **changed})


def fill_in_billing(scene: Scene) -> None:
    by_form(scene, f"/admin/invoices/billing/{scene.owner}", legal_name="Acme Inc.", address="Here", country="US")


def drafted(scene: Scene) -> str:
    fill_in_billing(scene)
    address = f"/admin/quotes/{scene.owner}"
    form = form_to(forms_of(scene.client.get(address)), address)
    return str(scene.client.post(address, form.fields).headers["Location"])


def mail_to_a_lead(scene: Scene) -> None:
    lead = Lead.objects.create(
        company="Initech", contact_name="Bill", contact_email="b@i.example", created_by=scene.user
    )
    by_form(scene, f"/admin/leads/{lead.pk}/mails/cold_mail", act="copy", body="Hello")


def mail_to_a_pilot(scene: Scene) -> None:
    deadline = timezone.now() + timedelta(hours=48)
    given = {"created_by": scene.user.pk, "override_reason": "For a test"}
    pilot = Pilot.objects.create(organization_id=scene.owner, credits=1, deadline=deadline, **given)
    address = f"/admin/pilots/{pilot.pk}/mails/pilot_ready"
    by_form(scene, address, act="send", recipients="b@i.example", body=BOUNDARY)


def mail_again(scene: Scene) -> None:
    given = {"template": "cold_mail", "recipients": ["b@i.example"], "subject": "Hello", "body": "Hello", "way": "sent"}
    more = {"created_at": timezone.now(), "created_by": scene.user, "fault": "Timed out"}
    mail = SalesMail.objects.create(organization_id=scene.owner, **given, **more)
    by_form(scene, f"/admin/mails/{mail.pk}")


def address_of_item(batch: Batch) -> str:
    return f"/admin/batches/{batch.pk}/items/{batch.items.get().pk}"


def person() -> User:
    return create_staff(username="finance", role="finance", password=PASSWORD)[0]


def with_app(address: str, **form: str) -> None:
    """Sign in with an app and send a form."""
    user, client = person(), Client()
    set_up(user)
    give_password(client)
    client.post("/admin/login/code", {"code": next_code(user)})
    client.post(address, form)


def setting_up(_: Scene) -> None:
    person()
    client = Client()
    give_password(client)
    client.get("/admin/two-step/")
    client.post("/admin/two-step/", {"code": code_of(client.session["two_step_key"])})


def signing_in(_: Scene) -> None:
    person()
    give_password(Client())


def new_password(_: Scene) -> None:
    person()
    client, new = Client(), "another password of length"
    give_password(client)
    client.post("/admin/password_change/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})


def invited(scene: Scene) -> tuple[str, str]:
    """Invite somebody; return where the invitation is renewed and withdrawn, and where its link leads."""
    form = {"email": "pia@acme.example", "role": "customer finance"}
    shown = scene.owned("customers/{}/people/invite", **form).context["address"]
    link = OneTimeLink.objects.latest("made_at")
    return f"customers/{{}}/people/invitations/{link.pk}/", urlsplit(shown).path


def joining(scene: Scene) -> None:
    _, door = invited(scene)
    form = {"username": "pia", "name": "Pia", "password1": PASSWORD, "password2": PASSWORD}
    Client().post(door, form)


def on_member(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about a developer."""

    def acting(scene: Scene) -> Any:
        user, _ = create_member(
            organization=scene.account.organization, username="ola", email="", role="customer developer"
        )
        return scene.owned(f"customers/{{}}/people/{user.pk}/{act}", **form)

    return acting


def by_password_link(scene: Scene) -> None:
    shown = on_member("password-link")(scene).context["address"]
    Client().post(urlsplit(shown).path, {"new_password1": PASSWORD, "new_password2": PASSWORD})


def provisioning(scene: Scene) -> Any:
    form = {"token": token_of(PilotForm), "name": "Hooli", "credits": "100", "reason": "Agreed", "hours": "48"}
    limits = {"max_items": "50", "rate_limit": "60", "max_open_batches": "9", "override_reason": "Tried by hand"}
    return scene.client.post("/admin/pilots/new", {**form, **limits, **CONFIRM})


def on_handover(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about what was handed over to the customer of a pilot."""

    def acting(scene: Scene) -> Any:
        made = provision_pilot(order=PilotOrder("Hooli", 100), actor="system", now=timezone.now(), by_link=True)
        handover = made.pilot.organization.handovers.earliest("pk")
        return scene.client.post(f"/admin/pilots/{made.pilot.pk}/handovers/{act.format(handover.pk)}", form)

    return acting


def on_lead(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about a lead, whose page was seen as it was made."""

    def acting(scene: Scene) -> Any:
        contact = {"company": "Initech", "contact_name": "Bill", "contact_email": "bill@initech.example"}
        made = scene.client.post("/admin/leads/new", {**contact, "note": "Met at a fair"}).headers["Location"]
        seen = seen_name(contact) if act == "change" else "cold_mail"
        return scene.client.post(f"{made}/{act}", {**contact, "seen": seen, **form}) if act else made

    return acting


def on_invoice(make: Callable[[Desk], Invoice], act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about an invoice that somebody else made."""

    def acting(scene: Scene) -> Any:
        invoice = make(make_desk(scene.account.organization))
        return scene.client.post(f"/admin/invoices/{invoice.pk}/{act}", form)

    return acting


def sending(scene: Scene) -> Any:
    draft = make_desk(scene.account.organization).draft()
    return scene.client.post(f"/admin/invoices/{draft.pk}/send", {"seen": seen_of(draft)})


def sending_a_note(scene: Scene) -> Any:
    desk = make_desk(scene.account.organization)
    invoice = desk.sent()
    address = f"/admin/invoices/{desk.note(invoice, 100).pk}/send-credit-note"
    return scene.client.post(address, {"seen": effect_seen(invoice)})


def reversing(scene: Scene) -> Any:
    desk = make_desk(scene.account.organization)
    payment = desk.pay(desk.sent(), 100, "DE-1")
    address = f"/admin/invoices/{payment.invoice_id}/payments/{payment.pk}/reverse"
    return scene.client.post(address, {"reason": "Another customer's"})


def revealing(_: Scene) -> Any:
    made = provision_pilot(order=PilotOrder("Hooli", 100), actor="system", now=timezone.now(), by_link=True)
    return Client().post(urlsplit(made.links.keys if made.links else "").path)


def in_review(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser writes down about a pilot."""

    def acting(scene: Scene) -> Any:
        pilot = pilot_of(scene.account)
        return scene.client.post(f"/admin/pilots/{pilot.pk}/review/{act}", form)

    return acting


def on_pilot(act: str, *, begins: int = -50, **form: str) -> Callable[[Scene], Any]:
    """Return what is done about a pilot whose clock begins in so many hours."""

    def acting(scene: Scene) -> Any:
        at = timezone.now() + timedelta(hours=begins)
        given = {"credits": 1, "created_by": "system", "override_reason": "A test"}
        pilot = Pilot.objects.create(
            organization=scene.account.organization, activated_at=at, deadline=at + timedelta(hours=48), **given
        )
        failure = pilot.failures.create(
            condition=3, note="No time", recorded_at=at, recorded_by=User.objects.get(is_superuser=True)
        )
        return scene.owned(f"pilots/{pilot.pk}/{act.format(failure.pk)}", **form)

    return acting


def close_month(scene: Scene) -> Any:
    reconcile(now=timezone.now())
    return scene.client.post("/admin/ledger/periods/2026-10")


def change_accounts(scene: Scene) -> None:
    where = "/admin/revenue/accounts"
    form = form_to(forms_of(scene.client.get(where)), where)
    scene.client.post(where, {**form.fields, "revenue_code": "4711"})
