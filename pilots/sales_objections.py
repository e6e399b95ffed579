"""What to answer to the four objections: in English, with the wording of the sales document beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pilots.boundary import BOUNDARY


@dataclass(frozen=True)
class Reply:
    """An answer, to whom, and the original wording where there is one. `never` says what is not said then."""

    words: str
    original: str = ""
    to: str = ""
    never: str = ""


@dataclass(frozen=True)
class Objection:
    """What a customer says, in both languages, what to answer, and what to know beside it."""

    code: str
    words: str
    original: str
    replies: tuple[Reply, ...]
    note: str = ""


OBJECTIONS = (
    Objection(
        "too-expensive",
        "It is too expensive.",
        "太贵了",
        (
            Reply(
                "We are not more expensive, we are safer. Failed items are refunded by themselves, every step can be "
                "audited, and a request that is sent twice runs once: these are costs, and they are value. What an "
                "enterprise fears most is not an API call that fails. It is finance whose books do not add up, and "
                "failed items that are paid for all the same.",
                "我们不是更贵，我们是更安全。失败任务自动退款、全链路审计、幂等保障，这些是成本，也是价值。"
                "企业客户最怕的不是 API 调用失败，而是财务对不上账、失败任务白扣钱。",
            ),
        ),
    ),
    Objection(
        "think-about-it",
        "We need to think about it.",
        "我们需要考虑",
        (
            Reply(
                "I understand completely. How about this: we first run a pilot of 20 videos, and your team sees the "
                "whole flow, the refunds too. It costs you nothing; it only shows whether our system suits you.",
                "完全理解。要不这样，我们先跑一个 20 条视频的 pilot，你们团队看看完整流程，包括退款机制。"
                "不收费，就当验证一下我们的系统是否适合你们的需求。",
            ),
        ),
        note="The pilot is free to them because it comes with promotional credits, within the cap of a pilot.",
    ),
    Objection(
        "another-api",
        "We already have another API.",
        "我们已经有 XX API",
        (
            Reply(
                "That is a good API, and it works call by call. If you need to generate in batches, our batch-first "
                "architecture will suit you better. And what keeps your money safe with us, freezing before and "
                "refunding after, many APIs do not have.",
                "XX API 很好，但它是单次调用模式。如果你们需要批量生成，我们的 batch-first 架构会更适合。"
                "而且，我们的财务安全保障（预扣+自动退款）是很多 API 没有的。",
            ),
        ),
    ),
    Objection(
        "sla",
        "Can you guarantee an SLA?",
        "能保证 SLA 吗？",
        (
            Reply(
                f"Not at this stage. {' '.join(BOUNDARY.splitlines())}",
                to="Before and during a pilot",
                never="No figure of uptime and no guarantee, in no mail and no call, also when the customer insists. "
                "That they ask is a signal: record it. It opens the way to Enterprise.",
            ),
            Reply(
                "We dare to write 99.9 % availability and a 100 % refund guarantee, because the system was designed "
                "for that aim. It is not a promise, it is the architecture. And you can look at every transaction in "
                "the dashboard as it happens: it is all in the open.",
                "我们敢写 99.9% 可用性和 100% 退款保障，因为系统设计就是为这个目标服务的。"
                "不是承诺，是架构保证。而且，我们的 admin 面板可以实时查看所有交易记录，完全透明。",
                to="To an Enterprise customer, with a contract",
            ),
        ),
        note="The two documents collide here, and the onboarding checklist wins: no SLA in a pilot.",
    ),
)
BY_CODE: Mapping[str, Objection] = {objection.code: objection for objection in OBJECTIONS}
