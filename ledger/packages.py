"""What credits cost: the list price, and the prepaid package. Amounts are whole numbers of small units."""

from dataclasses import dataclass, replace

MICROS = 1_000_000
CENTS = 100
# Counts of clips are promised in tens: nobody is to count to the last credit.
ROUND_DOWN_TO = 10


@dataclass(frozen=True)
class ListPrice:
    """What a credit costs to whoever pays as they go, in millionths of the currency."""

    currency: str
    micros: int

    def cents(self, credits: int) -> int:
        """Return the price of credits in cents, half a cent and more rounded up."""
        per_cent = MICROS // CENTS
        return (credits * self.micros + per_cent // 2) // per_cent


@dataclass(frozen=True)
class Package:
    """Credits that are paid before they are used. They never expire. A top-up at the list price has no code."""

    code: str
    currency: str
    cents: int
    credits: int

    @property
    def micros(self) -> int:
        """Return what a credit of it costs, in millionths of the currency."""
        return micros_of(cents=self.cents, credits=self.credits)

    def times(self, count: int) -> "Package":
        """Return several of it as one."""
        return replace(self, cents=count * self.cents, credits=count * self.credits)

    def percent_below(self, price: ListPrice) -> int:
        """Return how much less than at the list price its credits cost, in whole percent, rounded."""
        listed = self.credits * price.micros
        return (100 * (listed - self.cents * (MICROS // CENTS)) + listed // 2) // listed

    def cents_of(self, credits: int) -> int:
        """Return what some of its credits have cost, in cents, half a cent and more rounded up."""
        return (2 * credits * self.cents + self.credits) // (2 * self.credits)

    def clips(self, credits: int) -> int:
        """Return how many clips of so many credits it buys, rounded down to tens."""
        return self.credits // credits // ROUND_DOWN_TO * ROUND_DOWN_TO

    def cents_per_clip(self, credits: int) -> int | None:
        """Return its price divided by that count, in cents, half a cent and more rounded up; None if it buys none."""
        count = self.clips(credits)
        return (2 * self.cents + count) // (2 * count) if count else None


def micros_of(*, cents: int, credits: int) -> int:
    """Return what one of these credits costs, in millionths: the list price where they cost that, else rounded."""
    if cents == LIST_PRICE.cents(credits):
        return LIST_PRICE.micros
    return (cents * (MICROS // CENTS) + credits // 2) // credits


def top_up(credits: int) -> Package:
    """Return credits at the list price."""
    return Package(code="", currency=LIST_PRICE.currency, cents=LIST_PRICE.cents(credits), credits=credits)


LIST_PRICE = ListPrice(currency="USD", micros=61_270)
PREPAID = Package(code="prepaid-5000", currency="USD", cents=500_000, credits=102_000)
