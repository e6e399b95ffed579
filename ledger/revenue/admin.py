"""The pages of lots, deferred and recognized revenue."""

from sora2.pages import Page

PAGES: list[Page] = []
