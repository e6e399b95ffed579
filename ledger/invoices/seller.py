"""Who sends our invoices, from the settings SELLER_*."""

from dataclasses import asdict, dataclass

from django.conf import settings

from ledger.invoices.faults import NoSeller


@dataclass(frozen=True)
class Seller:
    """Our own company, as it stands on an invoice. `bank` says where to pay; lines are separated by `\\n`."""

    legal_name: str
    address: str
    country: str
    tax_id: str
    email: str
    bank: str

    def as_json(self) -> dict[str, str]:
        """Return what an invoice keeps of it."""
        return asdict(self)


def seller() -> Seller:
    """Return who sends our invoices. Raises NoSeller while the settings do not say."""
    if not (settings.SELLER_LEGAL_NAME and settings.SELLER_ADDRESS and settings.SELLER_BANK):
        raise NoSeller("Set SELLER_LEGAL_NAME, SELLER_ADDRESS and SELLER_BANK first: an invoice says who sends it.")
    return Seller(
        legal_name=settings.SELLER_LEGAL_NAME,
        address=settings.SELLER_ADDRESS.replace("\\n", "\n"),
        country=settings.SELLER_COUNTRY,
        tax_id=settings.SELLER_TAX_ID,
        email=settings.SUPPORT_EMAIL,
        bank=settings.SELLER_BANK.replace("\\n", "\n"),
    )
