"""`results.jsonl`: every item of a batch, one JSON object a line, streamed; each as it is when it is read."""

from collections.abc import Generator, Iterator

import msgspec

from batches.models import Batch, Item
from batches.representations import item_json

# A prompt may have 32,000 characters: some hundred items at a time bound the memory, and keep the queries few.
ITEMS_AT_ONCE = 500
BLOCK_BYTES = 64 * 1024


def blocks(batch: Batch, *, money: bool = True) -> Generator[bytes]:
    """Yield the file in blocks of some KB, by index; without `money` no item says what it costs.

    Between two pieces no cursor is open, and no transaction.
    """
    block = bytearray()
    for item in _by_index(batch):
        line = item_json(item)
        if not money:
            del line["credits"]
        block += msgspec.json.encode(line)
        block += b"\n"
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _by_index(batch: Batch) -> Iterator[Item]:
    # Served by batches_item_index_once. A batch never gets another item.
    items, seen = Item.objects.filter(batch=batch).select_related("output").order_by("index"), -1
    while page := list(items.filter(index__gt=seen)[:ITEMS_AT_ONCE]):
        yield from page
        seen = page[-1].index
