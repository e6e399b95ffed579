"""A world with many rows of everything that a page lists."""

from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from batches.catalogue import SIMULATOR
from batches.failures import FailureType
from batches.models import Attempt, Batch, CatalogueModel, Item, Price, PriceList, ProviderRoute
from customers.models import AuditEvent, Membership, Mode, User
from customers.services import create_api_key
from ledger import seals
from ledger.approvals import request_credits
from ledger.models import Entry, ReconciliationRun
from sora2.ids import new_id
from tests.factories import end_batch, end_items, make_account, make_batch
from tests.webhooks.page_scenes import State, tried
from tests.world import World
from webhooks.endpoints import create_endpoint
from webhooks.models import Delivery, EventType, SinkMessage
