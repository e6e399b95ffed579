"""The page of whom an invoice is made out to."""

from sora2.pages import Page

PAGES: list[Page] = []
