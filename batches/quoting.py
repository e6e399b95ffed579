"""What credits are offered for, and what they buy at today's prices: for the page of a quote and for mails."""

from dataclasses import dataclass
from datetime import datetime

from batches.catalogue import Model, NothingOnOffer, catalogue
from customers.models import Organization
from ledger.invoices.amounts import money, tax_of
from ledger.invoices.billing import Details, details_of
from ledger.invoices.drafting import DraftLine
from ledger.packages import LIST_PRICE, PREPAID, Package, top_up

# As sales speak of models: by family, whichever of it is on offer first.
FAMILIES = {"Veo": "veo", "Sora": "sora"}


@dataclass(frozen=True)
class Equivalent:
    """How many clips of a model credits buy, about, and what one of them then costs, in cents; None if it is none."""

    model: Model
    clips: int
    cents: int | None

    @property
    def price(self) -> str:
        """Return that price as it is spoken of."""
        return _spoken(self.cents or 0, LIST_PRICE.currency)


@dataclass(frozen=True)
class Offer:
    """Credits and their price: `count` of the prepaid package as one, or a top-up, of which the count is 0."""

    package: Package
    count: int
    equivalents: list[Equivalent]

    @property
    def price(self) -> str:
        """Return its price as it is spoken of: `$5,000`, without cents that are none."""
        return _spoken(self.package.cents, self.package.currency)

    @property
    def words(self) -> str:
        """Return what it is, for the middle of a sentence."""
        if not self.count:
            return f"a top-up of {self.package.credits:,} credits for {self.price}"
        one = f"the {_spoken(PREPAID.cents, PREPAID.currency)} prepaid package"
        return one if self.count == 1 else f"{self.count:,} × {one}"

    @property
    def percent_below(self) -> int:
        """Return how much less than at the list price it costs, in whole percent; a top-up is at the list price."""
        return self.package.percent_below(LIST_PRICE) if self.count else 0

    @property
    def families(self) -> dict[str, Equivalent]:
        """Return what it buys of each family of models, by the family's name, of those on offer."""
        found = {family: self._first(prefix) for family, prefix in FAMILIES.items()}
        return {family: each for family, each in found.items() if each is not None}

    @property
    def line(self) -> DraftLine:
        """Return it as the line of an invoice."""
        package, each = self.package, PREPAID.credits
        what = f"Top-up of {package.credits:,} credits at the list price, which never expire"
        if self.count:
            several = f"{self.count:,} × prepaid" if self.count > 1 else "Prepaid"
            what = f"{several} package of {each:,} credits, which never expire"
        return DraftLine(what, package.credits, package.micros, package.cents)

    def _first(self, prefix: str) -> Equivalent | None:
        found = (each for each in self.equivalents if each.model.name.startswith(prefix))
        return next((each for each in found if each.clips), None)


def offer_of(count: int, *, now: datetime) -> Offer:
    """Return what so many prepaid packages are, in clips of the prices of now."""
    return _offer(PREPAID.times(count), count, now)


def top_up_of(credits: int, *, now: datetime) -> Offer:
    """Return what so many credits at the list price are, in clips of the prices of now."""
    return _offer(top_up(credits), 0, now)


@dataclass(frozen=True)
class Quote:
    """An offer to a customer, with the tax line of its billing details; without these there is none yet."""

    offer: Offer
    details: Details | None

    @property
    def tax_cents(self) -> int:
        """Return the tax on it."""
        return tax_of(self.offer.package.cents, self.details.terms.tax_basis_points) if self.details else 0

    @property
    def total_cents(self) -> int:
        """Return what is to be paid."""
        return self.offer.package.cents + self.tax_cents


def quote_of(organization: Organization, offer: Offer) -> Quote:
    """Return an offer as it is for this customer."""
    return Quote(offer, details_of(organization))


def _offer(package: Package, count: int, now: datetime) -> Offer:
    try:
        models = catalogue(now=now).offered
    except NothingOnOffer:
        models = []
    found = [Equivalent(each, package.clips(each.credits), package.cents_per_clip(each.credits)) for each in models]
    return Offer(package, count, found)


def _spoken(cents: int, currency: str) -> str:
    return money(cents, currency).removesuffix(".00")
