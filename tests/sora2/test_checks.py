"""Wrong settings, and triggers that don't guard the books, are found before anything runs."""

import base64
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connection
from pytest_django import Settings

from sora2 import checks

SEAL_KEY = base64.b64encode(bytes(range(32))).decode()
PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def deployment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a deployment that nothing is wrong with."""
    key = Fernet.generate_key().decode()
    monkeypatch.setenv("ENCRYPTION_KEYS", key)
    settings.DEBUG = False
    settings.SECRET_KEY = "k9" * 30
    settings.ENCRYPTION_KEYS = [key]
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = []
    monkeypatch.setenv("SEAL_SIGNING_KEY", SEAL_KEY)
    settings.SEAL_SIGNING_KEY = SEAL_KEY
    settings.SEAL_RETIRED_KEYS = [SEAL_KEY]
    settings.PUBLIC_BASE_URL = "https://video.example.com"
    settings.DATABASE_URL = "postgres://db.example.com/sora2"
    settings.REDIS_URL = "redis://redis.example.com/0"
    settings.PROVIDER_OPENAI_BASE_URL = "https://provider.example.com/v1"
    return settings


def ours(messages: Sequence[CheckMessage]) -> list[str]:
    return sorted(str(message.id) for message in messages if str(message.id).startswith("sora2."))


def found() -> list[str]:
    return ours(run_checks())


def test_a_proper_deployment_passes(deployment: Settings) -> None:
    assert found() == []


def test_development_passes_with_what_the_settings_make_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENCRYPTION_KEYS", raising=False)
    settings.DEBUG = True
    settings.SECRET_KEY = "insecure-development-key"
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*", "https://[::1]:8443", "http://localhost:80"]
    settings.DATABASE_URL = settings.REDIS_URL = settings.PROVIDER_OPENAI_BASE_URL = ""
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("SECRET_KEY", "", "sora2.E001"),
        ("SECRET_KEY", "insecure-development-key", "sora2.E001"),
        ("SECRET_KEY", "django-insecure-" + "k9" * 30, "sora2.E001"),
        ("SECRET_KEY", "short", "sora2.E001"),
        ("ENCRYPTION_KEYS", ["not a key"], "sora2.E002"),
        ("ENCRYPTION_KEYS", [Fernet.generate_key().decode(), "c2hvcnQ="], "sora2.E002"),
        ("ENCRYPTION_KEYS", ["ключ"], "sora2.E002"),
        ("WEBHOOK_DEV_ALLOWED_TARGETS", ["http://127.0.0.1:*"], "sora2.E003"),
        ("PUBLIC_BASE_URL", "http://video.example.com", "sora2.E004"),
        ("DATABASE_URL", "", "sora2.E005"),
        ("REDIS_URL", "", "sora2.E006"),
        ("PROVIDER_OPENAI_BASE_URL", "", "sora2.E007"),
        ("SEAL_SIGNING_KEY", "", "sora2.E008"),
        ("SEAL_SIGNING_KEY", "not a key", "sora2.E008"),
        ("SEAL_SIGNING_KEY", SEAL_KEY[:-4], "sora2.E008"),
        ("SEAL_RETIRED_KEYS", [SEAL_KEY, "ключ"], "sora2.E008"),
        ("TRUSTED_PROXIES", -1, "sora2.E012"),
    ],
)
def test_a_wrong_setting_of_a_deployment_is_found(
    name: str, value: str | list[str] | int, id: str, deployment: Settings
) -> None:
    setattr(deployment, name, value)
    assert found() == [id]


def test_encryption_keys_that_were_only_derived_are_found(
    deployment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENCRYPTION_KEYS")
    assert found() == ["sora2.E002"]


def test_a_key_for_seals_that_was_only_derived_is_found(deployment: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAL_SIGNING_KEY")
    assert found() == ["sora2.E008"]


@pytest.mark.parametrize(
    "entry",
    [
        "127.0.0.1:8000",
        "http://127.0.0.1",
        "http://127.0.0.1:",
        "http://127.0.0.1:8000/",
        "http://*:*",
        "ftp://127.0.0.1:*",
    ],
)
def test_a_malformed_exception_for_webhooks_is_found_in_development_too(entry: str, settings: Settings) -> None:
    settings.DEBUG = True
    settings.WEBHOOK_DEV_ALLOWED_TARGETS = ["http://127.0.0.1:*", entry]
    assert found() == ["sora2.E003"]


def test_a_deployment_with_nothing_set_is_told_everything_at_once() -> None:
    environment = {"PATH": os.environ["PATH"], "DEBUG": "0", "DJANGO_SETTINGS_MODULE": "sora2.settings"}
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    for number in (1, 2, 4, 5, 6, 8):
        assert f"sora2.E00{number}" in done.stderr


# --- triggers -------------------------------------------------------------------------------------------------

TRIGGERS = (("checked_books", "guard"), ("books_of_tomorrow", "guard"))


@pytest.fixture
def books(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with its trigger as the check wants it, and another table that doesn't exist yet."""
    monkeypatch.setattr(checks, "TRIGGERS", TRIGGERS)
    execute("CREATE TABLE checked_books (id int)")
    execute(
        "CREATE TRIGGER guard BEFORE UPDATE ON checked_books"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    execute("ALTER TABLE checked_books ENABLE ALWAYS TRIGGER guard")


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def found_in_database() -> list[CheckMessage]:
    return checks.check_triggers(databases=["default"])


def test_a_trigger_that_is_always_on_passes(books: None) -> None:
    assert found_in_database() == []


@pytest.mark.parametrize("state", ["DISABLE TRIGGER", "ENABLE TRIGGER", "ENABLE REPLICA TRIGGER"])
def test_a_trigger_that_is_not_always_on_is_found(state: str, books: None) -> None:
    execute(f"ALTER TABLE checked_books {state} guard")
    [message] = found_in_database()
    assert message.id == "sora2.E010"
    assert "trigger guard on the table checked_books" in message.msg
    assert "not always on" in message.msg


def test_a_missing_trigger_is_found(books: None) -> None:
    execute("DROP TRIGGER guard ON checked_books")
    [message] = found_in_database()
    assert message.id == "sora2.E010"
    assert "missing" in message.msg


def test_a_missing_trigger_does_not_stop_the_migration_that_will_create_it(books: None) -> None:
    execute("DROP TRIGGER guard ON checked_books")
    execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    assert found_in_database() == []


def test_pending_migrations_excuse_no_trigger_that_was_switched_off(books: None) -> None:
    execute("ALTER TABLE checked_books DISABLE TRIGGER guard")
    execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    assert [message.id for message in found_in_database()] == ["sora2.E010"]


def test_triggers_are_looked_at_by_the_checks_of_the_database_only(books: None) -> None:
    execute("DROP TRIGGER guard ON checked_books")
    assert "sora2.E010" not in ours(run_checks())
    assert "sora2.E010" in ours(run_checks(tags=[Tags.database], databases=["default"]))


def test_without_expected_triggers_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TRIGGERS", ())
    assert found_in_database() == []


@pytest.mark.parametrize("addresses", [["203.0.113.7", "2001:db8::/64"], []])
def test_customers_are_told_of_addresses_that_are_some(settings: Settings, addresses: list[str]) -> None:
    settings.WEBHOOK_SOURCE_ADDRESSES = addresses
    assert "sora2.E013" not in found()


@pytest.mark.parametrize("address", ["hooks.example.com", "203.0.113.7/28", "203.0.113", ""])
def test_what_is_no_address_is_not_told_to_customers(settings: Settings, address: str) -> None:
    settings.WEBHOOK_SOURCE_ADDRESSES = ["203.0.113.7", address]
    assert found().count("sora2.E013") == 1
