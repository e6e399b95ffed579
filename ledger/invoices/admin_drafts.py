"""The pages on which an invoice is drafted and changed."""

from sora2.pages import Page

PAGES: list[Page] = []
