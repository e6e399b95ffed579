"""The addresses of the public documentation, below `/docs`."""

from django.urls import path, re_path

from sora2.documentation import views
from sora2.documentation.views import PRICES_CACHED_SECONDS, public

app_name = "docs"

urlpatterns = [
    path("docs", public(views.home)),
    path("docs/enterprise", public(views.start), name="start"),
    path("docs/enterprise/<slug:slug>", public(views.page), name="page"),
    path("docs/errors", public(views.errors)),
    path("docs/search", public(views.found), name="search"),
    path("docs/search/found", public(views.found_at_once), name="found"),
    path("docs/pricing", public(views.pricing, seconds=PRICES_CACHED_SECONDS), name="pricing"),
    path("docs/api", public(views.explorer), name="explorer"),
    path("docs/examples/<slug:language>.zip", public(views.download_all), name="archive"),
    path("docs/examples/<slug:language>/<str:name>", public(views.download), name="example"),
    re_path(r"^docs/(?P<rest>.*)", public(views.missing)),
]
