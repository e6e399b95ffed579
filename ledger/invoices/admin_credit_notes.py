"""The pages of credit notes."""

from sora2.pages import Page

PAGES: list[Page] = []
