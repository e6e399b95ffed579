"""A pilot as it is provisioned, with its key; somebody of sales."""

import pytest
from django.utils import timezone
from pytest_django import Settings

from customers.models import User
from customers.services import create_staff
from pilots.services import PilotOrder, Provisioned, provision_pilot
from tests.factories import Api
from tests.pilots.mail_scenes import Scene, mail_scene
from tests.pilots.scenes import HOOK


@pytest.fixture
def provisioned(settings: Settings) -> Provisioned:
    settings.PUBLIC_BASE_URL = "https://sora2.example.com"
    order = PilotOrder(name="Acme", credits=1000, webhook_url=HOOK, rate_limit=1000)
    return provision_pilot(order=order, actor="usr_x", now=timezone.now())


@pytest.fixture
def api(provisioned: Provisioned) -> Api:
    return Api(provisioned.api_key)


@pytest.fixture
def sales() -> User:
    return create_staff(username="cleo", role="sales ops")[0]


@pytest.fixture
def scene(settings: Settings) -> Scene:
    return mail_scene(settings)
