"""What people read where no page could be made: words, a way back, and nothing of the inside."""

from collections.abc import Callable

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from customers.models import User
from sora2 import urls
from tests.people import staff, superuser, words_of


def breaks(_request: HttpRequest) -> HttpResponse:
    """Fail with a secret in hand."""
    raise RuntimeError("whsec_secret of the inside")


urlpatterns = [path("breaks", breaks), path("", include(urls))]
handler404, handler500 = urls.handler404, urls.handler500

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def test_an_error_of_ours_says_what_it_means_for_the_money_and_nothing_else() -> None:
    response = Client(raise_request_exception=False).get("/breaks")
    assert response.status_code == 500
    assert "credits move in one piece or not at all" in words_of(response)
    assert 'href="/admin/"' in response.content.decode()
    assert not {"whsec_", "RuntimeError", "Traceback"} & set(response.content.decode().split())
    assert "whsec" not in response.content.decode()


def test_a_form_that_is_not_ours_is_refused_in_words() -> None:
    user = User.objects.create_superuser("root")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = client.post("/admin/check")
    assert response.status_code == 403
    assert "The form was not accepted Nothing was changed." in words_of(response)
    assert 'href="/admin/"' in response.content.decode()


@pytest.mark.parametrize("look", [lambda: Client().get("/nowhere"), lambda: staff().get("/admin/nowhere/")])
def test_an_address_without_a_page_says_so_with_a_way_back(look: Callable[[], HttpResponse]) -> None:
    response = look()
    assert response.status_code == 404
    assert "Nothing here" in words_of(response)
    assert 'href="/admin/"' in response.content.decode()


def test_a_lost_page_of_the_dashboard_keeps_the_navigation() -> None:
    assert "Batches Ledger Invoices Webhooks" in words_of(staff().get("/admin/nowhere/"))


def test_a_model_page_that_nobody_may_use_says_so() -> None:
    response = superuser().get("/admin/customers/organization/add/")
    assert response.status_code == 403
    assert "Not for your role" in words_of(response)
