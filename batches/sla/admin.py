"""The pages of what was promised and what was kept."""

from sora2.pages import Page

PAGES: list[Page] = []
