"""What the pages of batches show. Each page is one call here, of as many queries whatever the number of items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, Sum
from django.http import Http404

from batches.catalogue import Line, price_lines  # noqa: F401
from batches.models import FINAL_STATES, OPEN_STATES, Attempt, Batch, BatchQuerySet, Item, ItemQuerySet, Status
from customers.access import Access, Permission
from ledger.models import Entry
from ledger.pages import Equation, Part, held_equation
from ledger.pages import Line as EntryLine
from ledger.pages import lines as entry_lines
from sora2.pages import Rows, rows_after
from webhooks.pages import Told, acknowledgement, told_about

BATCHES_SHOWN, ITEMS_SHOWN = 50, 100
