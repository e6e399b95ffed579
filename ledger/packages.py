"""What credits cost: the list price, and the prepaid package. Amounts are whole numbers of small units."""

from dataclasses import dataclass

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
    """Credits that are paid before they are used. They never expire."""

    code: str
    currency: str
    cents: int
    credits: int

    @property
    def micros(self) -> int:
        """Return what a credit of it costs, in millionths of the currency, rounded."""
        return (self.cents * (MICROS // CENTS) + self.credits // 2) // self.credits

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


LIST_PRICE = ListPrice(currency="USD", micros=61_270)
PREPAID = Package(code="prepaid-5000", currency="USD", cents=500_000, credits=102_000)
