"""A database of its own for a benchmark: durable as in production, gone afterwards."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sora2.embedded import embedded_servers


@contextlib.contextmanager
def own_database() -> Iterator[None]:
    """Start embedded servers in a temporary directory, set Django up on them, and migrate."""
    with tempfile.TemporaryDirectory(prefix="sora2-bench-") as folder, embedded_servers(Path(folder)) as urls:
        own = {"DEBUG": "1", "SORA2_DATA_DIR": folder, "LOG_LEVEL": "ERROR"}
        os.environ.update(urls | own | {"DJANGO_SETTINGS_MODULE": "sora2.settings"})
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield
