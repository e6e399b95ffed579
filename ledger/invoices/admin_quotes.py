"""The page that quotes a package or a top-up."""

from sora2.pages import Page

PAGES: list[Page] = []
