"""What a sentence of the sale rests on: the page or the test on which it can be seen to be true."""

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True)
class Shown:
    """Where something can be seen: a page of ours that takes no parameter, or one of the public documentation."""

    words: str
    page: str = ""
    docs: str = ""

    @property
    def address(self) -> str:
        """Return where that is."""
        return reverse("docs:page", args=[self.docs]) if self.docs else reverse(f"admin:{self.page}")


@dataclass(frozen=True)
class Claim:
    """Something that we say, where it is shown, and the test that shows it, as `file::test`."""

    words: str
    shown: Shown | None = None
    test: str = ""
