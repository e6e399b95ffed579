"""Pytest plugin: real PostgreSQL and Valkey for the whole run, in a temporary directory, gone afterwards.

Loaded with `-p tests.servers`, so that the servers' addresses are in the environment before pytest-django
reads the settings. DATABASE_URL and REDIS_URL, where given, are used instead.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sora2.embedded import embedded_servers
from tests.databases import TEMPLATE, drop_template


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Come before pytest-django, which is also among the first here but no wrapper."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        running = contextlib.ExitStack()
        # pytest_unconfigure would come too, but not after a mistake in the arguments.
        early_config.add_cleanup(running.close)
        _start_servers(running)
    else:
        _separate(int(worker.removeprefix("gw")))
    return (yield)


def _start_servers(running: contextlib.ExitStack) -> None:
    directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="sora2-tests-")))
    urls = running.enter_context(
        embedded_servers(
            directory,
            postgres="DATABASE_URL" not in os.environ,
            valkey="REDIS_URL" not in os.environ,
            durable=False,
        )
    )
    os.environ.update(urls)
    os.environ[TEMPLATE] = f"template_{secrets.token_hex(6)}"
    running.callback(drop_template)
    os.environ.update({"DEBUG": "1", "SORA2_DATA_DIR": str(directory), "MEDIA_ROOT": str(directory / "media")})


def _separate(number: int) -> None:
    """Give an xdist worker what pytest-django doesn't: a Valkey database and a place for files of its own."""
    url, database = os.environ["REDIS_URL"], number + 1
    if url.startswith("unix://"):  # urlunsplit would lose the slashes of a scheme that it does not know.
        os.environ["REDIS_URL"] = f"{url.partition('?')[0]}?db={database}"
    else:
        os.environ["REDIS_URL"] = urlsplit(url)._replace(path=f"/{database}").geturl()
    os.environ["MEDIA_ROOT"] = f"{os.environ['MEDIA_ROOT']}-{number}"
