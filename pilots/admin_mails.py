"""The pages on which mails to leads and customers are written, sent and kept."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from customers.access import Access, Permission
from customers.pages import page, person_of, refused
from pilots import mail_pages as pages
from pilots import mails
from pilots.mail_forms import MailForm
from pilots.mail_templates import TO_LEADS, TO_PILOTS, Draft, draft_to_lead, draft_to_pilot
from pilots.models import Pilot, SalesMail
from pilots.pages import reached_lead, reached_pilot
from sora2.pages import Page, render, render_once, text_of
from sora2.seen import ChangedMeanwhile, seen_name

WRITTEN_BEFORE = "Nothing was done now: this is the mail that the same form has written before."
NOT_SENT = "It is kept, and was not sent: below stands why, and what to do."


@require_safe
@page(Permission.PILOTS_READ)
def pilot_mails(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show what was written to the customer, and what can be."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    found = pages.mails_of_pilot(pilot, by=person_of(request), now=timezone.now(), cursor=text_of(request, "after"))
    return render(
        request,
        "admin/pilots/mails.html",
        title=f"Mails to {pilot.organization}",
        pilot=pilot,
        tab="mails",
        found=found,
        may_act=access.may(Permission.PILOTS_WRITE),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def pilot_mail(request: HttpRequest, access: Access, pilot_id: str, template: str) -> HttpResponseBase:
    """Write a mail to a pilot's customer: filled, to be looked at and edited; then send it, or copy it."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    if template not in TO_PILOTS:
        raise Http404
    draft = draft_to_pilot(pilot, TO_PILOTS[template], by=person_of(request), now=timezone.now())
    return _write(request, draft, pilot)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def lead_mail(request: HttpRequest, access: Access, lead_id: str, template: str) -> HttpResponseBase:
    """Write a mail to a lead: filled, to be looked at and edited; then send it, or copy it."""
    lead = reached_lead(access, lead_id=lead_id)
    if template not in TO_LEADS:
        raise Http404
    return _write(request, draft_to_lead(lead, TO_LEADS[template], by=person_of(request)), None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_READ)
def sales_mail(request: HttpRequest, access: Access, mail_id: str) -> HttpResponseBase:
    """Show a mail as it was written; send it again if it was not sent."""
    mail = pages.reached_mail(access, mail_id=mail_id)
    if request.method == "POST":
        return _send_again(request, access, mail)
    found = pages.written(mail)
    may_act = access.may(Permission.PILOTS_WRITE)
    return render(
        request,
        "admin/pilots/mail_kept.html",
        title=f"Mail: {mail.subject}",
        mail=mail,
        found=found,
        seen=seen_name(mails.seen_of(mail)) if may_act and mail.state == "not sent" else "",
    )


PAGES = [
    Page("pilots/<id:pilot_id>/mails", pilot_mails, "pilot_mails"),
    Page("pilots/<id:pilot_id>/mails/<slug:template>", pilot_mail, "pilot_mail"),
    Page("leads/<id:lead_id>/mails/<slug:template>", lead_mail, "lead_mail"),
    Page("mails/<id:mail_id>", sales_mail, "sales_mail"),
]


def _write(request: HttpRequest, draft: Draft, pilot: Pilot | None) -> HttpResponseBase:
    if request.method != "POST":
        return _form_page(request, draft, pilot, MailForm.of(draft))
    form, act = MailForm(request.POST), request.POST.get("act")
    if not form.is_valid() or act not in ("send", "copy"):
        return _form_page(request, draft, pilot, form)
    letter, by, now = form.letter(draft), person_of(request), timezone.now()
    try:
        if act == "copy":
            mail, text = mails.copy(letter=letter, by=by, now=now)
            return render_once(request, "admin/pilots/mail_copied.html", title="Copy this mail", mail=mail, text=text)
        mail = mails.send(letter=letter, by=by, now=now)
    except mails.MailRefused as error:
        for fault in error.faults:
            form.add_error(None, fault)
        return _form_page(request, draft, pilot, form)
    except mails.WrittenBefore:
        messages.info(request, WRITTEN_BEFORE)
        return _to(letter.id)
    return _said(request, mail)


def _form_page(request: HttpRequest, draft: Draft, pilot: Pilot | None, form: MailForm) -> HttpResponseBase:
    return render(
        request,
        "admin/pilots/mail_new.html" if pilot else "admin/pilots/mail_new_lead.html",
        status=422 if form.is_bound else 200,
        title=f"{draft.template.name}: {draft.organization or draft.lead}",
        draft=draft,
        pilot=pilot,
        tab="mails",
        form=form,
        waiting=pages.waiting(draft.organization),
    )


def _send_again(request: HttpRequest, access: Access, mail: SalesMail) -> HttpResponseBase:
    if not access.may(Permission.PILOTS_WRITE):
        return refused(request, Permission.PILOTS_WRITE)
    by, seen = person_of(request), request.POST.get("seen", "")
    try:
        sent = mails.send_again(mail=mail, seen=seen, by=by, now=timezone.now())
    except mails.AlreadySent:
        messages.info(request, "Nothing was done now: this mail was sent already.")
    except ChangedMeanwhile:
        messages.error(request, "Nothing was done: it was sent again meanwhile. Look how it stands now.")
    except mails.MailRefused as error:
        messages.error(request, f"Nothing was sent. {error}")
    else:
        return _said(request, sent)
    return _to(mail.pk)


def _said(request: HttpRequest, mail: SalesMail) -> HttpResponseBase:
    if mail.sent_at:
        messages.success(request, f"Sent to {', '.join(mail.recipients)}, and kept.")
    else:
        messages.error(request, NOT_SENT)
    return _to(mail.pk)


def _to(mail_id: str) -> HttpResponseBase:
    return HttpResponseRedirect(reverse("admin:sales_mail", args=[mail_id]))
