"""The pages on which finance records what was paid."""

from sora2.pages import Page

PAGES: list[Page] = []
