"""The pages of a customer's people: who they are, what they may do, and how others come in and leave."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers import people as verbs
from customers import people_pages as pages
from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.models import Membership, OneTimeLink, Organization
from customers.pages import page, person_of
from customers.people_forms import InviteForm, PasswordLinkForm
from sora2.pages import Page, render, render_once, text_of

DOORS = {OneTimeLink.Kind.INVITATION: "admin:join", OneTimeLink.Kind.PASSWORD: "admin:new_password"}


@require_safe
@page(Permission.ACCOUNT_READ)
def people(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show a customer's people and their roles."""
    return _people_page(request, access, organization_id)


@require_POST
@page(Permission.PEOPLE_WRITE)
def people_invite(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Invite somebody, and show the link this once."""
    organization, form = reached_organization(access, organization_id=organization_id), InviteForm(request.POST)
    if not form.is_valid():
        return _people_page(request, access, organization_id, form=form)
    role = Membership.Role(form.cleaned_data["role"])
    try:
        made = verbs.invite(
            organization=organization,
            email=form.cleaned_data["email"],
            role=role,
            by=person_of(request),
            now=timezone.now(),
        )
    except verbs.PeopleRefused as error:
        form.add_error("email", str(error))
        return _people_page(request, access, organization_id, form=form)
    return _link_page(request, organization, *made)


@require_POST
@page(Permission.PEOPLE_WRITE)
def invitation_renew(request: HttpRequest, access: Access, organization_id: str, link_id: str) -> HttpResponseBase:
    """Make a new link for an open invitation, and show it this once."""
    link = pages.reached_invitation(access, organization_id=organization_id, link_id=link_id)
    try:
        made = verbs.renew(link=link, by=person_of(request), now=timezone.now())
    except verbs.PeopleRefused as error:
        return _back(request, organization_id, fault=str(error))
    return _link_page(request, link.organization, *made)


@require_POST
@page(Permission.PEOPLE_WRITE)
def invitation_withdraw(request: HttpRequest, access: Access, organization_id: str, link_id: str) -> HttpResponseBase:
    """Make the link of an invitation useless."""
    link = pages.reached_invitation(access, organization_id=organization_id, link_id=link_id)
    if verbs.withdraw(link=link, by=person_of(request), now=timezone.now()):
        return _back(request, organization_id, done=f"Withdrawn: the link for {link.email} opens nothing any more.")
    return _back(request, organization_id, fault="Nothing was changed: the invitation was used or withdrawn meanwhile.")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PEOPLE_WRITE)
def member_role(request: HttpRequest, access: Access, organization_id: str, user_id: str) -> HttpResponseBase:
    """Give a member another role in two steps: choose it, and confirm what it does."""
    member = pages.reached_member(access, organization_id=organization_id, user_id=user_id)
    wanted = request.POST.get("role", "") if request.method == "POST" else text_of(request, "role")
    if wanted not in pages.ROLES or wanted == member.role:
        return _member_page(request, "role", member, roles=pages.ROLES.items())
    # The role that the effect was shown of; who sends the form again, or later, changes nothing else.
    if request.method != "POST" or request.POST.get("seen") != member.role:
        change, links = pages.change_of(member, wanted), verbs.links_made_by(member, timezone.now()).count()
        return _member_page(request, "role", member, change=change, links=links)
    try:
        verbs.change_role(member=member, role=Membership.Role(wanted), by=person_of(request), now=timezone.now())
    except verbs.PeopleRefused as error:
        return _back(request, organization_id, fault=str(error))
    return _back(request, organization_id, done=f"Changed: {member.user.username} is {wanted} from now on.")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PEOPLE_WRITE)
def member_remove(request: HttpRequest, access: Access, organization_id: str, user_id: str) -> HttpResponseBase:
    """Show what it does to remove a member, and do it."""
    member, now = pages.reached_member(access, organization_id=organization_id, user_id=user_id), timezone.now()
    if request.method != "POST":
        return _member_page(request, "remove", member, removal=pages.removal_of(member, now))
    try:
        verbs.remove(member=member, by=person_of(request), now=now)
    except verbs.PeopleRefused as error:
        return _back(request, organization_id, fault=str(error))
    return _back(request, organization_id, done=f"Removed: {member.user.username}, who is signed out everywhere.")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PEOPLE_WRITE)
def member_password(request: HttpRequest, access: Access, organization_id: str, user_id: str) -> HttpResponseBase:
    """Make a link by which a member who lost their password sets a new one, and show it this once."""
    member = pages.reached_member(access, organization_id=organization_id, user_id=user_id)
    if request.method != "POST":
        alone = verbs.belongs_only_to(member.user, member.organization_id)
        why_not = "" if alone else verbs.NOT_YOURS
        return _member_page(request, "password", member, form=PasswordLinkForm(), why_not=why_not)
    form = PasswordLinkForm(request.POST)
    form.is_valid()
    off, now = form.cleaned_data["two_step_off"], timezone.now()
    try:
        made = verbs.password_link(member=member, turns_two_step_off=off, by=person_of(request), now=now)
    except verbs.PeopleRefused as error:
        return _back(request, organization_id, fault=str(error))
    return _link_page(request, member.organization, *made)


def _people_page(
    request: HttpRequest, access: Access, organization_id: str, *, form: InviteForm | None = None
) -> HttpResponseBase:
    """Show the people; a form that was refused comes along."""
    found = pages.people_page(access, organization_id=organization_id, now=timezone.now())
    return render(
        request,
        "admin/customers/people.html",
        status=422 if form else 200,
        title=f"People of {found.organization}",
        organization=found.organization,
        tab="people",
        found=found,
        roles=pages.ROLES.items(),
        form=form or InviteForm(),
        may_act=access.may(Permission.PEOPLE_WRITE),
        self=person_of(request),
    )


def _member_page(request: HttpRequest, act: str, member: Membership, **shown: Any) -> HttpResponseBase:
    """Show what an act on a member does, before it is confirmed."""
    return render(
        request,
        f"admin/customers/member_{act}.html",
        title=f"{member.user.username} of {member.organization}",
        organization=member.organization,
        tab="people",
        member=member,
        is_self=member.user == person_of(request),
        is_last=verbs.is_last_administrator(member),
        **shown,
    )


def _link_page(request: HttpRequest, organization: Organization, link: OneTimeLink, token: str) -> HttpResponseBase:
    door = reverse(DOORS[OneTimeLink.Kind(link.kind)], args=[token])
    return render_once(
        request,
        "admin/customers/link.html",
        title="A new link",
        organization=organization,
        tab="people",
        link=link,
        address=f"{settings.PUBLIC_BASE_URL}{door}",
    )


def _back(request: HttpRequest, organization_id: str, *, done: str = "", fault: str = "") -> HttpResponseRedirect:
    if fault:
        messages.error(request, fault)
    else:
        messages.success(request, done)
    return HttpResponseRedirect(reverse("admin:people", args=[organization_id]))


_AT = "customers/<id:organization_id>/people"
PAGES = [
    Page(_AT, people, "people"),
    Page(f"{_AT}/invite", people_invite, "people_invite"),
    Page(f"{_AT}/invitations/<id:link_id>/renew", invitation_renew, "invitation_renew"),
    Page(f"{_AT}/invitations/<id:link_id>/withdraw", invitation_withdraw, "invitation_withdraw"),
    Page(f"{_AT}/<id:user_id>/role", member_role, "member_role"),
    Page(f"{_AT}/<id:user_id>/remove", member_remove, "member_remove"),
    Page(f"{_AT}/<id:user_id>/password-link", member_password, "member_password"),
]
