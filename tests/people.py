"""People who look at the pages: our staff by role, a customer's own, and nobody."""

import re
from html import unescape
from typing import Any

from django.test import Client
from django.utils import timezone

from customers.models import Membership, Organization, User
from customers.services import create_staff
from sora2.ids import new_id


def staff(role: str = "finance") -> Client:
    """Return the browser of a member of staff with this role; without one for the empty text."""
    if role:
        user, _ = create_staff(username=new_id("usr"), role=role)
    else:
        user = User.objects.create_user(username=new_id("usr"), is_staff=True)
    return signed_in(user)


def superuser() -> Client:
    """Return the browser of a superuser."""
    return signed_in(User.objects.create_superuser(username=new_id("usr")))


def member(organization: Organization, role: str = "customer finance") -> Client:
    """Return the browser of a customer's person."""
    user = User.objects.create_user(username=new_id("usr"))
    Membership.objects.create(user=user, organization=organization, role=role)
    return signed_in(user)


def words_of(response: Any) -> str:
    """Return the text of a page as it reads, without marks and with single spaces."""
    text = re.sub(r"<(script|style|title)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    # Calls of the API have tests of their own.
    text = re.sub(r'<details class="calls.*?</details>', "", text, flags=re.DOTALL)
    # What a word means stands there, and shows once the word is clicked.
    text = re.sub(r'<span class="meaning".*?</span>', "", text)
    text = re.sub(r"</?(span|a|b|code|time)\b[^>]*>", "", text)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", text))).strip()


def signed_in(user: User) -> Client:
    """Return the browser of this person, whose session has begun now."""
    client = Client()
    client.force_login(user)
    session = client.session
    session["begun_at"] = session["seen_at"] = timezone.now().timestamp()
    session.save()
    return client
