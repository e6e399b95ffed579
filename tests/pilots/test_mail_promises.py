"""What a mail may not promise: found however it is written, and what is true passes."""

import time

import pytest

from pilots.boundary import BOUNDARY
from pilots.mail_promises import INVARIANT, LONG_TERM, PATTERNS, REACH, SLA, SUCCESS, UPTIME, Kind, promises_in

REFUSED: dict[str, Kind] = {
    # As the sales documents have it.
    "100% refund SLA": SLA,
    "Production guarantees": SLA,
    "100% 退款保障（SLA）": SLA,
    "不是承诺，是架构保证": SLA,
    "我们敢写 99.9% 可用性": UPTIME,
    "99.9% uptime": UPTIME,
    # SLA.
    "We offer an SLA.": SLA,
    "our SLAs": SLA,
    "an sla": SLA,
    "S.L.A.": SLA,
    "S-L-A": SLA,
    "S L A": SLA,
    "a service level agreement": SLA,
    "Service-Level Objectives": SLA,
    "服务等级协议": SLA,
    "服务水平承诺": SLA,
    "我们提供SLA保证": SLA,
    "We guarantee it": SLA,
    "a refund guarantee": SLA,
    "a guaranteed refund": SLA,
    "money-back": SLA,
    "guaranteed response within the hour": SLA,
    "No SLA is included at this stage. There is an SLA.": SLA,
    # Uptime.
    "Uptime": UPTIME,
    "up-time of three nines": UPTIME,
    "99,95 percent": UPTIME,
    "ninety-nine point nine percent": UPTIME,
    "five 9s": UPTIME,
    "100% available": UPTIME,
    "highly available": UPTIME,
    "availability of 98 %": UPTIME,
    "zero downtime": UPTIME,
    "It never goes down": UPTIME,
    "正常运行时间": UPTIME,
    "百分之九十九": UPTIME,
    # Success.
    "a 95% success rate": SUCCESS,
    "The success-rate is high": SUCCESS,
    "95 % of your videos will succeed": SUCCESS,
    "98% succeed": SUCCESS,
    "succeeds in over 97 percent of all cases": SUCCESS,
    "All your videos will succeed": SUCCESS,
    "It never fails": SUCCESS,
    "an error rate below 1": SUCCESS,
    "we have guaranteed results": SUCCESS,
    "成功率 95%": SUCCESS,
    "保证成功": SUCCESS,
    # Traffic and ranking.
    "better SEO": REACH,
    "It will drive traffic to your shop": REACH,
    "You will rank higher": REACH,
    "Google rankings": REACH,
    "search engine optimization": REACH,
    "go viral": REACH,
    "more views": REACH,
    "提升搜索排名": REACH,
    "带来流量": REACH,
    # Long contracts.
    "a long-term contract": LONG_TERM,
    "a long term partnership": LONG_TERM,
    "a contract for the long-term": LONG_TERM,
    "a two-year agreement": LONG_TERM,
    "a 12-month commitment": LONG_TERM,
    "an annual contract": LONG_TERM,
    "a commitment of at least three years": LONG_TERM,
    "it auto-renews": LONG_TERM,
    "a minimum term": LONG_TERM,
    "长期合同": LONG_TERM,
    "签三年合同": LONG_TERM,
    # One customer's own rules.
    "We can skip the freeze for you": INVARIANT,
    "We'll turn off freezing": INVARIANT,
    "switch idempotency off": INVARIANT,
    "waive the balance check": INVARIANT,
    "without freezing your credits": INVARIANT,
    "We won't freeze anything": INVARIANT,
    "a custom refund policy": INVARIANT,
    "make an exception": INVARIANT,
    "you may have a negative balance": INVARIANT,
    "pay later": INVARIANT,
    "we refund everything": INVARIANT,
    "we charge for failed items": INVARIANT,
    "为您跳过预扣": INVARIANT,
    "关闭自动退款": INVARIANT,
    "特殊处理": INVARIANT,
}
DISGUISED: dict[str, Kind] = {
    "ＳＬＡ": SLA,
    "S\u200bL\u200dA": SLA,
    "S\u00adLA": SLA,
    "\u2066SLA\u2069": SLA,
    "ЅLА": SLA,  # Cyrillic
    "ᏚLA": SLA,
    "SLÁ": SLA,
    "S̶L̶A̶": SLA,
    "ꜱʟᴀ": SLA,
    "🅂🄻🄰": SLA,
    "🆂🅻🅰": SLA,
    "𝐒𝐋𝐀": SLA,
    "ⓈⓁⒶ": SLA,
    "S•L•A": SLA,
    "S\nL\nA": SLA,
    "S\r\nLA": SLA,
    "service\nlevel\u2028agreement": SLA,
    "up\u2011time": UPTIME,
    "up-\ntime": UPTIME,
    "UPTIМE": UPTIME,
    "99．9％": UPTIME,
    "99٫9٪": UPTIME,
    "９９.９%": UPTIME,
    "99.9 per\u00a0cent": UPTIME,
    "suc\u200bcess\n   rate": SUCCESS,
    "成功\n率": SUCCESS,
    "成\u200b功率": SUCCESS,
    "ｓｅｏ": REACH,
    "long\u2013term contract": LONG_TERM,
    "long-\nterm contract": LONG_TERM,
}
PASSES = (
    BOUNDARY,
    BOUNDARY.replace("\n", " "),
    BOUNDARY.replace("No SLA is", "No SLA is\n"),
    "- No SLA at this stage",
    "There is no SLA in a pilot.",
    "no subscription lock-in",
    "No subscription\nlock-in: you buy credits",
    "no long-term contract",
    "failed items are automatically refunded",
    "100% of failed items are refunded",
    "Every failure refunds automatically",
    "You're charged only for successful outputs",
    "You are never charged for failed videos.",
    "We freeze the full batch cost upfront (no partial surprises)",
    "This means finance teams can approve usage without manual reconciliation.",
    "Success: 18 videos, failed: 2 videos (auto-refunded)",
    "10 succeeded, 2 failed; reserved = settled + refunded, 120 = 100 + 20 ✓",
    "What is your availability on Monday?",
    "Monthly invoicing: available upon request",
    "If insufficient, you'll get 402 Payment Required",
    "Credits never expire: use at your pace",
    "Effective price: ~$4.76 per Veo video (20% discount)",
    "Rate limits: increased to 600 / minute",
    "Which field was unclear? Let's launch it. The slalom is as last year.",
    "The pilot runs 48 hours. Do you need a contract?",
    "Use request_id for idempotency",
    "我们不是更贵，我们是更安全。失败任务自动退款、全链路审计、幂等保障",
    "支持月结、发票",
    "https://sora2.example.com/docs/enterprise/reconciliation",
)


@pytest.mark.parametrize("text", [*REFUSED, *DISGUISED])
def test_a_promise_is_found_however_it_is_written(text: str) -> None:
    wanted = {**REFUSED, **DISGUISED}[text]
    for each in (text, text.upper(), f"Hello,\n\nwe have this: {text}.\nBest"):
        assert wanted in [promise.kind for promise in promises_in(each)], each


@pytest.mark.parametrize("text", PASSES)
def test_what_is_true_passes(text: str) -> None:
    for each in (text, f"Hello,\n\n{text}\n\nBest"):
        assert [str(promise) for promise in promises_in(each)] == []


def test_a_refusal_says_the_words_why_and_what_to_say_instead() -> None:
    [uptime, sla] = promises_in("99.9% uptime,\n100% refund SLA")
    assert str(uptime) == (
        "“uptime” is a promise of uptime. A pilot runs on a best-effort basis; uptime is promised by an SLA, which a "
        "pilot does not include. Say instead: “This pilot runs on a best-effort basis.”"
    )
    assert (sla.words, sla.kind.instead) == (
        "sla",
        "Say instead what the system does: “Failed items are automatically refunded.”",
    )


def test_a_contract_allows_an_sla_and_never_what_no_contract_can() -> None:
    assert {kind for kind in PATTERNS if kind.ever} == {SUCCESS, REACH, INVARIANT}


def test_the_longest_text_is_read_in_no_time() -> None:
    before = time.monotonic()
    for text in (
        " " * 20_000,
        "a" * 20_000,
        "without the " * 1_700,
        "guarantee " * 2_000,
        "9" * 20_000,
        "\n" * 20_000,
        "turn_" * 4_000,
        "charg_" * 3_300,
    ):
        promises_in(text)
    assert time.monotonic() - before < 3
