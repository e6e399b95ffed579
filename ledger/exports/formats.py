"""The formats that entries can be had in, and the answer that carries one over HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import StreamingHttpResponse

from ledger.exports import beancount, csv_copy, xlsx
from ledger.exports.selection import Selected


@dataclass(frozen=True)
class Format:
    """A kind of file: the ending of its name, its content type, and what makes it, in blocks of some KB."""

    ending: str
    content_type: str
    blocks: Callable[[Selected], Iterator[bytes]]


CSV = Format("csv", "text/csv; charset=utf-8", csv_copy.blocks)
XLSX = Format("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", xlsx.blocks)
BEANCOUNT = Format("beancount", "text/plain; charset=utf-8", beancount.blocks)
FORMATS = {each.ending: each for each in (CSV, XLSX, BEANCOUNT)}


def download(selected: Selected, file_format: Format) -> StreamingHttpResponse:
    """Answer with the file. Nothing is read before the first block is sent, so a HEAD costs nothing."""
    return StreamingHttpResponse(
        file_format.blocks(selected),
        content_type=file_format.content_type,
        headers={"Content-Disposition": f'attachment; filename="ledger-{selected.wallet.pk}.{file_format.ending}"'},
    )
