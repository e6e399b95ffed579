"""The endpoints of batches and items in OpenAPI."""

from batches import examples
from batches.failures import FailureType
from batches.models import STATUS_OF_STATE, State, Status
from batches.schemas import EXAMPLE_BATCH, EXAMPLE_ORDER
from sora2.api import JSON_TYPE
from sora2.operations import (
    INSTANT,
    PAGING,
    PERIOD,
    TEXT,
    UNREADABLE,
    URL,
    Answer,
    Operation,
    choice,
    header,
    in_path,
    query,
    record,
    ref,
)

READ, WRITE, LEDGER = "batches:read", "batches:write", "ledger:read"
BATCH, ITEM = in_path("batch_id", "bat"), in_path("item_id", "itm")
BINARY = {"type": "string", "contentMediaType": "video/mp4"}
POLLING = "When to ask again, in seconds, while the batch is not final."
LINK = {
    **record(ok={"const": True}, url=URL, expires_at=INSTANT),
    "examples": [examples.CONTENT_LINK],
}
CONTENT_HEADERS = {"Accept-Ranges": "`bytes`", "ETag": "The SHA-256 of the whole video."}

LIFE_CYCLE_HEADERS = {
    "Deprecation": "Since when a model of the order is deprecated, as `@` and Unix seconds (RFC 9745).",
    "Sunset": "When it will be retired (RFC 8594).",
}
REFUSED_ORDERS = (
    "insufficient_credits",
    "key_budget_exceeded",
    "model_retired",
    "max_credits_exceeded",
    "request_id_reused",
    "too_many_open_batches",
)
REPLAYED = Answer(
    "The same request came before: the batch that it made, as it now is.",
    ref("BatchAnswer"),
    headers={"Idempotent-Replayed": "`true`"},
    example=examples.RUNNING_BATCH,
)

CREATE_BATCH = Operation(
    name="createBatch",
    tag="Batches",
    summary="Create a batch, and freeze its whole cost",
    scope=WRITE,
    description=(
        "The batch needs a request id of your own. The same id with the same body answers with the batch that "
        "it made, however often it is sent; the credits of the whole batch are frozen at once, or nothing is "
        "stored."
    ),
    parameters=[
        header("X-Request-Id", TEXT, "The request id, if it is not in the body."),
        header("Idempotency-Key", TEXT, "The same, bare or quoted."),
    ],
    request=ref("BatchOrder"),
    request_example=EXAMPLE_ORDER,
    answers={
        201: Answer(
            "The batch was created.",
            ref("BatchAnswer"),
            headers={"Location": "The address of the batch.", **LIFE_CYCLE_HEADERS},
            example=EXAMPLE_BATCH,
        ),
        200: REPLAYED,
    },
    errors=[
        *UNREADABLE,
        "request_id_required",
        "request_id_conflict",
        "validation_error",
        "batch_too_large",
        *REFUSED_ORDERS,
    ],
)
QUOTE_BATCH = Operation(
    name="quoteBatch",
    tag="Batches",
    summary="Price a batch, and store nothing",
    scope=WRITE,
    description=(
        "Takes the body of a batch, with or without a request id, and says what it costs and whether the "
        "wallet holds it."
    ),
    request=ref("BatchOrder"),
    request_example=EXAMPLE_ORDER,
    answers={
        200: Answer("What the batch would cost.", ref("Quote"), headers=LIFE_CYCLE_HEADERS, example=examples.QUOTE)
    },
    errors=[*UNREADABLE, "validation_error", "batch_too_large", "model_retired"],
)
LIST_BATCHES = Operation(
    name="listBatches",
    tag="Batches",
    summary="List batches, newest first",
    scope=READ,
    parameters=[
        query("state", choice(State.values), "Only batches in this state."),
        query("status", choice(list(STATUS_OF_STATE.values())), "Only batches with this progress."),
        query("request_id", TEXT, "Only the batch with this request id."),
        *PERIOD,
        *PAGING,
    ],
    answers={200: Answer("A page of batches.", ref("BatchPage"), example=examples.BATCH_PAGE)},
    errors=["validation_error"],
)
SHOW_BATCH = Operation(
    name="showBatch",
    tag="Batches",
    summary="Show a batch",
    scope=READ,
    description="Poll it as often as `Retry-After` says, or wait for the webhook.",
    parameters=[BATCH],
    answers={
        200: Answer(
            "The batch as it now is.",
            ref("BatchAnswer"),
            headers={"Retry-After": POLLING},
            example=examples.RUNNING_BATCH,
        )
    },
    errors=["not_found"],
)
CANCEL_BATCH = Operation(
    name="cancelBatch",
    tag="Batches",
    summary="Cancel the items that were not submitted yet",
    scope=WRITE,
    description=(
        "Items that were submitted already run on; the batch ends, and its credits are settled and refunded, "
        "when they have."
    ),
    parameters=[BATCH],
    answers={200: Answer("The batch as it now is.", ref("BatchAnswer"), example=examples.RUNNING_BATCH)},
    errors=["not_found", "batch_final"],
)
RETRY_BATCH = Operation(
    name="retryBatch",
    tag="Batches",
    summary="Try the refunded items anew, in a batch of their own",
    scope=WRITE,
    description=("Only items that were refunded after a failure that may not come again are ordered anew, each once."),
    parameters=[
        BATCH,
        header("X-Request-Id", TEXT, "The request id of the new batch, if it is not in the body."),
        header("Idempotency-Key", TEXT, "The same, bare or quoted."),
    ],
    request=ref("RetryOrder"),
    request_example={"request_id": "order-123-again", "max_credits": 100},
    answers={
        201: Answer(
            "A batch of the refunded items that may succeed, at today's prices; each is tried anew once.",
            ref("BatchAnswer"),
            headers={"Location": "The address of the new batch."},
            example=examples.RETRY_BATCH,
        ),
        200: REPLAYED,
    },
    errors=[
        *UNREADABLE,
        "request_id_required",
        "request_id_conflict",
        "not_found",
        "batch_not_final",
        "already_retried",
        "nothing_to_retry",
        "validation_error",
        *REFUSED_ORDERS,
    ],
)
LIST_ITEMS = Operation(
    name="listItems",
    tag="Items",
    summary="List the items of a batch, by index",
    scope=READ,
    description="Filter by what became of them: `status=refunded` are those that were not charged.",
    parameters=[
        BATCH,
        query("status", choice(Status.values), "Only items with this status."),
        query("failure_type", choice(list(FailureType)), "Only items that failed like this."),
        query("custom_id", TEXT, "Only the item with this custom_id."),
        *PAGING,
    ],
    answers={200: Answer("A page of items.", ref("ItemPage"), example=examples.ITEM_PAGE)},
    errors=["not_found", "validation_error"],
)
SHOW_ITEM = Operation(
    name="showItem",
    tag="Items",
    summary="Show an item",
    scope=READ,
    parameters=[BATCH, ITEM],
    answers={200: Answer("The item.", ref("Item"), example=examples.ITEM)},
    errors=["not_found"],
)
ITEM_CONTENT = Operation(
    name="getItemContent",
    tag="Items",
    summary="Get the video of an item",
    scope=READ,
    description="The file has the SHA-256 that the item says. One whose time is over is 404.",
    parameters=[
        BATCH,
        ITEM,
        query("url", choice(["1"]), "Instead of the bytes, answer an address that gives them without the key."),
        header("Range", TEXT, "One range of bytes, such as `bytes=0-1023`."),
        header("If-Range", TEXT, "The ETag that the range belongs to."),
        header("If-None-Match", TEXT, "The ETag of what you have."),
    ],
    answers={
        200: Answer(
            "The video; with `url=1` an address that gives whoever has it this one video for some minutes. It takes "
            "`Range` too, and it is never answered as a redirect, which would carry the key to another host.",
            BINARY,
            content_type="video/mp4",
            headers=CONTENT_HEADERS,
            instead={JSON_TYPE: LINK},
        ),
        206: Answer(
            "The range of the video.",
            BINARY,
            content_type="video/mp4",
            headers={**CONTENT_HEADERS, "Content-Range": "Which bytes these are."},
        ),
        304: Answer("You have it already: `If-None-Match` named it.", {}, content_type="", headers=CONTENT_HEADERS),
    },
    errors=["not_found", "range_not_satisfiable", "validation_error"],
)
RESULTS = Operation(
    name="getResults",
    tag="Items",
    summary="Get all items of a batch, one a line",
    scope=READ,
    parameters=[BATCH],
    answers={
        200: Answer(
            "Every `Item` as it now is, one JSON object a line, by index; also while the batch runs.",
            TEXT,
            content_type="application/jsonl",
            headers={"Retry-After": POLLING},
            example=examples.RESULTS,
        )
    },
    errors=["not_found"],
)
BATCH_LEDGER = Operation(
    name="showBatchLedger",
    tag="Ledger",
    summary="Show the ledger entries of a batch",
    scope=LEDGER,
    description="At most three entries: reserve, settle, refund.",
    parameters=[BATCH],
    answers={200: Answer("The entries and their totals.", ref("BatchLedger"), example=examples.BATCH_LEDGER)},
    errors=["not_found"],
)
SHOW_PROOF = Operation(
    name="showProof",
    tag="Ledger",
    summary="Get the reconciliation proof of a batch",
    scope=LEDGER,
    description="The same bytes each time. There is none before the batch has ended.",
    parameters=[BATCH],
    answers={200: Answer("The proof; its SHA-256 is in the webhook.", ref("Proof"), example=examples.PROOF)},
    errors=["not_found", "batch_not_final"],
)
PROOF_ITEMS = Operation(
    name="getProofItems",
    tag="Ledger",
    summary="Get the items that the proof covers, one a line",
    scope=LEDGER,
    parameters=[BATCH],
    answers={
        200: Answer(
            "One `ProofItem` a line, by index; `items_sha256` of the proof is of these bytes.",
            TEXT,
            content_type="application/jsonl",
            example=examples.PROOF_ITEMS,
        )
    },
    errors=["not_found", "batch_not_final"],
)
LIST_MODELS = Operation(
    name="listModels",
    tag="Models",
    summary="List the models on offer and their prices",
    scope=READ,
    description="Prices are in credits. A batch keeps the prices at which it was accepted.",
    answers={200: Answer("The catalogue.", ref("ModelPage"), example=examples.MODEL_PAGE)},
)
