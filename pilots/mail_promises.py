"""What a mail may not promise: before a contract, and ever.

A pilot runs on a best-effort basis, and its papers say so. One sentence in a mail that says otherwise is worth more to
the customer than all of them. So the words are looked for however they are written: in any case, in letters that only
look alike, with something invisible between them, across a line break, in English and in Chinese.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of promise: what it is called, why it is refused, what to say instead. `ever`: a contract allows none."""

    name: str
    why: str
    instead: str
    ever: bool = False


@dataclass(frozen=True)
class Promise:
    """A promise that stands in a text, in the words by which it was found."""

    kind: Kind
    words: str

    def __str__(self) -> str:
        return f"“{self.words}” is {self.kind.name}. {self.kind.why} {self.kind.instead}"


SLA = Kind(
    "a promise of an SLA",
    "No SLA is included in a pilot: it comes with the enterprise plan and its contract.",
    "Say instead what the system does: “Failed items are automatically refunded.”",
)
UPTIME = Kind(
    "a promise of uptime",
    "A pilot runs on a best-effort basis; uptime is promised by an SLA, which a pilot does not include.",
    "Say instead: “This pilot runs on a best-effort basis.”",
)
SUCCESS = Kind(
    "a promise of a success rate",
    "How many videos succeed depends on the model, and is no criterion of a pilot.",
    "Say instead: “You're charged only for successful outputs”, or give the counts of a batch that has ended.",
    ever=True,
)
REACH = Kind(
    "a promise of traffic or ranking",
    "What becomes of a video once it is made is out of scope.",
    "Leave it out: we make videos, and account for them.",
    ever=True,
)
LONG_TERM = Kind(
    "talk of a long-term contract",
    "A pilot is the wrong time for it: it shows first whether the system deserves more trust.",
    "Say instead: “no subscription lock-in”. If they ask for a contract, record the signal: it opens the transition.",
)
INVARIANT = Kind(
    "a change of the system's rules for one customer",
    "Freezing, refunding, idempotency and the ledger are the same for everybody: that is why they can be trusted.",
    "Offer other limits instead: items in a batch, requests a minute, open batches.",
    ever=True,
)

# Denials and facts: what they say is true. They are taken out before anything is looked for.
DENIALS = (
    r"no sla is (?:included|promised|part)",
    r"no sla (?:at this stage|in (?:a|the|this|your) pilot|during (?:a|the|this|your) pilot)",
    r"no (?:subscription |vendor )?lock-?in",
    r"(?:no|without any|without a|without) (?:long-? ?term|annual|multi-?year) (?:contract|commitment|subscription)s?",
    r"(?:never|not|aren't|isn't|won't be) charged (?:for )?(?:\w+ )?fail\w*",
)
PERCENT = r"(?:\d+(?:[.,]\d+)?|ninety(?:[ -][a-z]+)?) ?(?:%|percent|per cent)"
THING = r"(?:videos?|items?|clips?|batch(?:es)?|jobs?|tasks?|requests?|outputs?|generations?|calls?)"
# What no customer is spared.
RULE = (
    r"(?:pre-?)?(?:freez\w*|frozen|reserv\w*|refund\w*|idempoten\w*|ledger(?: entr\w+)?|audit(?: trail| log)?|"
    r"balance (?:pre-?)?checks?|hash chain|signatures?|invariants?)"
)
SPARED = r"(?:skip|waiv|disabl|bypass|remov|suspend|drop|lift|relax)\w*"
YEARS = r"(?:\d+|one|two|three|four|five|twelve|twenty-four|thirty-six|several)[ -]?(?:years?|months?)"
BOUND = r"(?:contracts?|agreements?|commitments?|deals?|partnerships?|subscriptions?)"
PATTERNS: Mapping[Kind, tuple[str, ...]] = {
    UPTIME: (
        r"up-? ?times?",
        r"100 ?(?:%|percent|per cent) (?:availab\w*|reliab\w*|online|up)",
        r"99(?:[.,]\d+)? ?(?:%|percent|per cent)",
        r"ninety[ -]nine(?: point [a-z]+)? (?:percent|per cent)",
        r"(?:two|three|four|five|six|[2-6]) (?:9s|nines)",
        r"(?:high|highly|guaranteed|always|continuously)[ -]availab\w*",
        rf"availability (?:of|is|at|above) {PERCENT}",
        r"(?:zero|no|without|without any) (?:down-? ?time|outages?)",
        r"(?:never|won't|will not) (?:be |goes? )?(?:down|offline)",
        r"可用性|可用率|在线率|正常运行时间|不宕机|不停机|百分之九十九|99点\d",
    ),
    SLA: (
        r"s([ .\-/_*|]?)l\1a(?:'?s)?",
        r"service[ -]?levels?(?: [a-z]+)?",
        r"(?:production|performance|quality|delivery|latency|speed|time|refund) guarantees?",
        r"(?:we|i)(?: can| will|'ll| do)? guarantee",
        r"guarantee\w* [^.!?;]{0,60}?(?:response|latency|deliver\w*|turnaround|performance|quality|capacity)",
        r"guaranteed? refunds?|money[ -]?back",
        r"服务(?:等级|级别|水平|质量)(?:协议|承诺|目标|保障)?|(?:退款|架构|性能|质量)(?:保障|保证)",
    ),
    SUCCESS: (
        r"(?:success|completion|failure|error|fail)[ -]?rates?|rates? of (?:success|failure|errors?)",
        rf"{PERCENT}(?: of)?(?: (?:all|your|our|the|these|those))*(?: {THING})?(?: will| should| can)? succe\w*",
        rf"succe\w* (?:in|for|of|with|at) (?:over |about |at least |more than )?{PERCENT}",
        rf"(?:all|every|each)(?: of)?(?: (?:your|our|the|single))* {THING} (?:will|is going to|are going to) succeed",
        r"(?:never|won't|will not|cannot|can't) fails?",
        r"guarantee\w* [^.!?;]{0,60}?(?:succe\w*|results?|outcomes?)",
        r"成功率|失败率|完成率|(?:保证|必定|百分之百|100%) ?成功",
    ),
    REACH: (
        r"seo|search[ -]engines?(?: [a-z]+)?|search (?:ranking\w*|traffic|visibility)",
        r"first page of (?:google|search\w*)",
        r"(?:(?:website|site|organic|more|web) )?traffic",
        r"rankings?|ranks? (?:higher|better|first|top|on|in|at|#? ?1)|page ?ranks?",
        r"go(?:es)? viral|more (?:views|clicks|visitors|impressions|followers|conversions)|organic (?:reach|growth)",
        r"流量|排名|搜索引擎|引流|搜索优化|收录",
    ),
    LONG_TERM: (
        rf"long-? ?term (?:{BOUND}|plans?|terms?)",
        r"long-? ?term [^.!?;]{0,40}contracts?|contracts? [^.!?;]{0,30}long-? ?term",
        rf"(?:multi-?year|annual(?:ly)?|yearly|{YEARS}) (?:{BOUND}|plans?|terms?|minimum)",
        rf"{BOUND} (?:for|of|over) (?:at least )?{YEARS}",
        r"(?:minimum|fixed) (?:terms?|commitments?|contracts?)|auto-? ?renew\w*|(?:subscription|vendor) lock-?in",
        r"长期(?:合同|合约|协议|合作|承诺|签约)|(?:年度|多年|[一二两三四五]年期?)(?:合同|合约|协议)|年框|包年",
    ),
    INVARIANT: (
        rf"{SPARED} (?:[a-z]+ ){{0,3}}?{RULE}",
        rf"(?:turn\w*|switch\w*) off (?:[a-z]+ ){{0,3}}?{RULE}|(?:turn\w*|switch\w*) (?:[a-z]+ ){{0,3}}?{RULE} off",
        r"(?:no|without|don't|do not|won't|will not) (?:(?:any|the|your|our|have to|need to) )*"
        r"(?:pre-?)?(?:freez\w*|reserve|reserving|idempoten\w*|balance (?:pre-?)?checks?)",
        r"(?:special|custom|bespoke) (?:[a-z]+ )?(?:refunds?|billing|ledger|settlement|freezing|rules?|invariants?)",
        r"(?:make|made|making|grant) (?:you )?an? exception|exceptions? for you",
        r"overdraft|overdraw\w*|negative balance|credit line|line of credit|post-?paid|pay (?:later|afterwards)",
        r"refund\w* (?:successful|succeeded|everything|every video|all videos)|charg\w* (?:for )?(?:\w+ )?fail\w*",
        r"(?:跳过|关闭|取消|免除|不用|无需|不做)(?:自动)?(?:预扣|冻结|退款|幂等|对账|记账)|特殊处理|例外|破例|透支|先用后付|赊账",
    ),
}

# Letters that look like Latin ones and are none: NFKC leaves them as they are.
LOOK_ALIKES = str.maketrans(
    {
        **dict(zip("авеёзікмнорсѕтухјԁԛԝһӏҽɡ", "abee3ikmhopcstyxjdqwhleg", strict=True)),
        **dict(zip("ᎪᏟᎬᎻᏞᎷᏢᎡᏚᎢᎳ", "acehlmprstw", strict=True)),
        **dict(zip("αβγεζηικνορστυχω", "abyeznikvopotuxw", strict=True)),
        **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıłøſ", "abcdefghijklmnoprstuvwyzilos", strict=True)),
        **{chr(start + i): chr(97 + i) for start in (0x1F150, 0x1F170, 0x1F1E6) for i in range(26)},
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("‘’‛′ʼ`´", "'"),
        **dict.fromkeys("٪﹪", "%"),
        **dict.fromkeys("٫۔⸱‧∙⋅•", "."),
        **dict.fromkeys("\u115f\u1160\u2800", " "),
        **dict.fromkeys("\u2028\u2029\x85\x0b\x0c", "\n"),
    }
)
# Categories of Unicode that nobody sees: what is for control and format, and marks above and around letters.
UNSEEN = frozenset({"Cc", "Cf", "Mn", "Me"})


def promises_in(text: str) -> list[Promise]:
    """Return what a text promises and may not, each kind once, in the words in which it was first found."""
    plain = DENIED.sub(" … ", re.sub(r"[ \t]+", " ", plainly(text)))
    # A line may end between two words, or within one.
    readings = (re.sub(r"\s+", " ", plain), re.sub(r"-? ?\n\s*", "", plain))
    found: dict[Kind, Promise] = {}
    for kind, pattern in COMPILED:
        match = next(filter(None, map(pattern.search, readings)), None)
        if match and kind not in found:
            found[kind] = Promise(kind, match[0].strip())
    return list(found.values())


def plainly(text: str) -> str:
    """Return a text as it looks: in small Latin letters and digits, without what cannot be seen; lines stay."""
    compatible = unicodedata.normalize("NFKC", text).casefold().translate(LOOK_ALIKES)
    parts = unicodedata.normalize("NFKD", compatible).translate(LOOK_ALIKES)
    seen = (c for c in parts if unicodedata.category(c) not in UNSEEN or c in "\n\t")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in seen)


def _whole(pattern: str) -> re.Pattern[str]:
    """Return a pattern for whole words: in Chinese there is no space before one, so only Latin letters go on."""
    # A word ends where another can begin: `turn_turn_…` would else be read from each of its words to the end of all.
    pattern = pattern.replace(r"\w", "[a-z0-9]")
    return re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])")


DENIED = _whole("|".join(DENIALS).replace(" ?", r"\s?").replace(" ", r"\s+"))
COMPILED = tuple((kind, _whole(pattern)) for kind, patterns in PATTERNS.items() for pattern in patterns)
