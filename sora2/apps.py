"""The project's own apps: the one that holds commands and checks, and Django's admin with our site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class Sora2Config(AppConfig):
    """Holds the management commands and the system checks of the whole project."""

    name = "sora2"

    def ready(self) -> None:
        """Register the system checks."""
        from sora2 import checks  # noqa: F401 - importing it registers them.


class Sora2AdminConfig(AdminConfig):
    """Django's admin, with `Sora2AdminSite` as its default site."""

    default_site = "sora2.admin.Sora2AdminSite"
