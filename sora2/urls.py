"""Every address of the system."""

from django.contrib import admin
from django.urls import include, path, re_path

from batches import api as batches
from batches.content_api import LinkedContentView
from customers import keys_api as keys
from ledger import api as ledger
from ledger import seals_api as seals
from ledger import statements_api as statements
from pilots import api as pilots
from sora2.handlers import unknown_address
from sora2.health import healthz, readyz
from sora2.metrics import metrics
from sora2.openapi import openapi_json
from webhooks import api as webhooks
from webhooks import endpoints_api as endpoints
from webhooks.verify_views import verify_page

BATCH = "video-batch/<str:batch_id>"
ITEM = f"{BATCH}/items/<str:item_id>"
KEY = "keys/<str:key_id>"
ENDPOINT = "webhook-endpoints/<str:endpoint_id>"

api_patterns = [
    path("video-batch", batches.BatchesView.as_view()),
    path("video-batch/quote", batches.QuoteView.as_view()),
    path(BATCH, batches.BatchView.as_view()),
    path(f"{BATCH}/cancel", batches.CancelView.as_view()),
    path(f"{BATCH}/retry", batches.RetryView.as_view()),
    path(f"{BATCH}/items", batches.ItemsView.as_view()),
    path(ITEM, batches.ItemView.as_view()),
    path(f"{ITEM}/content", batches.ContentView.as_view()),
    path(f"{BATCH}/results.jsonl", batches.ResultsView.as_view()),
    path(f"{BATCH}/timeline", batches.TimelineView.as_view()),
    path(f"{BATCH}/ledger", batches.BatchLedgerView.as_view()),
    path(f"{BATCH}/proof", batches.ProofView.as_view()),
    path(f"{BATCH}/proof/items.jsonl", batches.ProofItemsView.as_view()),
    path("models", batches.ModelsView.as_view()),
    path("wallet", ledger.WalletView.as_view()),
    path("ledger", ledger.LedgerView.as_view()),
    path("ledger.csv", ledger.LedgerCsvView.as_view()),
    path("ledger.xlsx", ledger.LedgerXlsxView.as_view()),
    path("ledger.beancount", ledger.LedgerBeancountView.as_view()),
    path("statements/<str:month>.csv", statements.StatementCsvView.as_view()),
    path("statements/<str:month>.pdf", statements.StatementPdfView.as_view()),
    path("statements/<str:month>", statements.StatementView.as_view()),
    path("pilot", pilots.PilotView.as_view()),
    path("seals", seals.SealsView.as_view()),
    path("seals/<str:number>", seals.SealView.as_view()),
    path("webhook-endpoints", endpoints.EndpointsView.as_view()),
    path(ENDPOINT, endpoints.EndpointView.as_view()),
    path(f"{ENDPOINT}/test", endpoints.TestView.as_view()),
    path(f"{ENDPOINT}/rotate-secret", endpoints.RotateSecretView.as_view()),
    path(f"{ENDPOINT}/replay", endpoints.ReplayView.as_view()),
    path("webhook-deliveries", webhooks.DeliveriesView.as_view()),
    path("webhook-deliveries/<str:delivery_id>", webhooks.DeliveryView.as_view()),
    path("webhook-deliveries/<str:delivery_id>/redeliver", webhooks.RedeliverView.as_view()),
    path("keys", keys.KeysView.as_view()),
    path(KEY, keys.KeyView.as_view()),
    path(f"{KEY}/rotate", keys.RotateView.as_view()),
    path(f"{KEY}/revoke", keys.RevokeView.as_view()),
]

urlpatterns = [
    path("api/enterprise/", include(api_patterns)),
    path(f"api/enterprise/{ITEM}/content/<str:token>", LinkedContentView.as_view()),
    # Here rather than in handler404, which is not asked under DEBUG.
    re_path(r"^api/enterprise(?:/|\Z)", unknown_address),
    path("openapi.json", openapi_json),
    path(".well-known/sora2-seal-keys.json", seals.seal_keys_json),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("docs/enterprise/webhooks/verify", verify_page),
    path("", include("sora2.documentation.urls")),
    path("webhook-sink/", include("webhooks.sink_urls")),
    path("admin/", admin.site.urls),
]

handler400 = "sora2.handlers.bad_request"
handler404 = "sora2.handlers.page_not_found"
handler500 = "sora2.handlers.server_error"
