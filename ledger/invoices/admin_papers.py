"""The files of invoices."""

from sora2.pages import Page

PAGES: list[Page] = []
