"""What an account's administrator may change of it: whom we tell of what, and its time zone."""

from dataclasses import asdict, dataclass

from django.db import transaction

from customers.models import Organization
from customers.services import audit
from sora2.seen import check_seen, seen_name

EMAILS_MOST = 10


@dataclass(frozen=True)
class Settings:
    """The settings of an account. `time_zone` is an IANA name."""

    contact_email: str
    technical_emails: list[str]
    finance_emails: list[str]
    time_zone: str

    @property
    def seen(self) -> str:
        """Return a name for the settings as they are: others have another."""
        return seen_name(asdict(self))


def settings_of(organization: Organization) -> Settings:
    """Return an account's settings."""
    return Settings(
        contact_email=organization.contact_email,
        technical_emails=organization.technical_emails,
        finance_emails=organization.finance_emails,
        time_zone=organization.time_zone,
    )


@transaction.atomic
def change_settings(*, organization: Organization, wanted: Settings, seen: str, actor: str) -> bool:
    """Set an account's settings if they are still those that were `seen`; say whether that changes anything.

    What is set already is set: sent twice, it is done once. Raises ChangedMeanwhile.
    """
    now = settings_of(Organization.objects.select_for_update(no_key=True).get(pk=organization.pk))
    if now == wanted:
        return False
    check_seen(asdict(now), seen)
    old, new = asdict(now), asdict(wanted)
    changed = [name for name in new if new[name] != old[name]]
    Organization.objects.filter(pk=organization.pk).update(**{name: new[name] for name in changed})
    audit(
        actor=actor,
        action="organization.settings",
        organization_id=organization.pk,
        subject=organization.pk,
        detail={"old": {name: old[name] for name in changed}, "new": {name: new[name] for name in changed}},
    )
    return True
