"""What people read in the place of an opaque id: who did something."""

from collections.abc import Iterable

from customers.access import Access
from customers.models import ApiKey, User


def names_for_staff(actors: Iterable[str]) -> dict[str, str]:
    """Return the sign-in names of people and the names of keys by their ids, as our own people know them."""
    wanted = {actor for actor in actors if actor}
    people = User.objects.filter(pk__in=wanted).values_list("pk", "username")
    return {**dict(people), **dict(ApiKey.objects.filter(pk__in=wanted).values_list("pk", "name"))}


def names_of(access: Access, actors: Iterable[str]) -> dict[str, str]:
    """Return the names of people and keys by their ids. Whom of our staff, is for our staff to know."""
    wanted, ours = set(actors), access.organization_ids is None
    return {
        "system": "the system" if ours else "our staff",
        **{
            pk: "our staff" if is_staff and not ours else name
            for pk, name, is_staff in _people({actor for actor in wanted if actor.startswith("usr_")})
        },
        **{key.pk: f"the key {key}" for key in _keys(access, {actor for actor in wanted if actor.startswith("key_")})},
    }


def _people(ids: set[str]) -> Iterable[tuple[str, str, bool]]:
    return User.objects.filter(pk__in=ids).values_list("pk", "username", "is_staff") if ids else ()


def _keys(access: Access, ids: set[str]) -> Iterable[ApiKey]:
    return ApiKey.objects.within(access).filter(pk__in=ids) if ids else ()
