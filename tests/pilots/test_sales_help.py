"""What to say in the call and to an objection, and what never: as the documents say it, and true of the system."""

import re

import pytest

from pilots.boundary import BOUNDARY
from pilots.models import PilotFailure
from pilots.review import NEVER_ASKED, QUESTIONS
from pilots.sales_call import SENTENCES
from pilots.sales_claims import Claim
from pilots.sales_objections import BY_CODE, OBJECTIONS
from pilots.sales_rules import DO_NOT, FAILURES
from pilots.sales_steps import STEPS
from sora2.documentation.contents import WRITTEN
from tests.markup import links_of
from tests.people import staff, words_of
from tests.programs import ROOT

HELP = "/admin/pilots/help"
CLAIMS = [
    *(claim for sentence in SENTENCES for claim in (*sentence.explained, *sentence.detail)),
    *(claim for step in STEPS for claim in step.points),
]


def test_the_three_sentences_are_said_as_they_stand() -> None:
    assert [sentence.words for sentence in SENTENCES] == [
        "We are batch-first, not request-first.",
        "We freeze credits so finance never gets surprised.",
        "Every failure refunds automatically.",
    ]
    detail = " ".join(claim.words for sentence in SENTENCES for claim in sentence.detail)
    for name in ("queued → processing → completed | partial | failed", "credit_ledger", "finalize_batch_credits"):
        assert name in detail
    assert "Month-end" in detail


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.test], ids=lambda claim: claim.test)
def test_the_test_that_a_claim_rests_on_exists(claim: Claim) -> None:
    file, _, name = claim.test.partition("::")
    text = (ROOT / file).read_text()
    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)


@pytest.mark.django_db
def test_what_a_claim_is_shown_on_opens_for_whoever_reads_it() -> None:
    assert {claim.shown.docs for claim in CLAIMS if claim.shown and claim.shown.docs} <= WRITTEN.keys()
    pages = {claim.shown.address for claim in CLAIMS if claim.shown}
    assert len(pages) > 8
    for role in ("sales ops", "finance", "auditor"):
        client = staff(role)
        assert {page: client.get(page).status_code for page in pages if client.get(page).status_code != 200} == {}


def test_each_objection_has_its_answer_beside_the_original_wording() -> None:
    assert [(objection.words, objection.original) for objection in OBJECTIONS] == [
        ("It is too expensive.", "太贵了"),
        ("We need to think about it.", "我们需要考虑"),
        ("We already have another API.", "我们已经有 XX API"),
        ("Can you guarantee an SLA?", "能保证 SLA 吗？"),
    ]
    originals = [reply.original for objection in OBJECTIONS for reply in objection.replies if reply.original]
    assert [text[:12] for text in originals] == [
        "我们不是更贵，我们是更安",
        "完全理解。要不这样，我们",
        "XX API 很好，但它",
        "我们敢写 99.9% 可",
    ]


def test_no_sla_is_promised_in_a_pilot_and_the_figures_are_for_enterprise_alone() -> None:
    before, after = BY_CODE["sla"].replies
    assert " ".join(BOUNDARY.splitlines()) in before.words
    assert before.to == "Before and during a pilot"
    assert "99.9" not in before.words + before.original
    assert after.to == "To an Enterprise customer, with a contract"
    assert "99.9 % availability and a 100 % refund guarantee" in after.words
    elsewhere = [reply.words for each in OBJECTIONS for reply in each.replies if reply is not after]
    assert [words for words in elsewhere if "99.9" in words or "guarantee" in words] == []


def test_the_failure_conditions_are_those_that_a_pilot_is_judged_by() -> None:
    assert [failure.number for failure in FAILURES] == list(PilotFailure.Condition.values)


@pytest.mark.django_db
def test_the_page_says_all_of_it_with_an_index() -> None:
    page = staff("auditor").get(HELP)
    words, html = words_of(page), page.content.decode()
    said = [
        *(sentence.words for sentence in SENTENCES),
        *(claim.words for claim in CLAIMS),
        *(reply.words for objection in OBJECTIONS for reply in objection.replies),
        *(each.words for each in DO_NOT),
        *(each.reason for each in DO_NOT),
        *(question.words for question in QUESTIONS),
        *NEVER_ASKED,
        *(failure.words for failure in FAILURES),
        *("Failure ≠ Bad", "Failure = Real input for v1.1"),
        *("Can concurrency be higher?", "Observe, don't push", "We are just looking".lower()),
    ]
    assert [each for each in said if each not in words] == []
    assert html.count('lang="zh"') == 4 + 4
    anchors = [link[1:] for link in links_of(page) if link.startswith("#") and link != "#content-start"]
    assert len(anchors) == 8
    assert [claim.test for claim in CLAIMS if claim.test not in words] == []
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert [anchor for anchor in anchors if f'id="{anchor}"' not in html] == []
