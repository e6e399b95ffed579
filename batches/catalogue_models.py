"""What is on offer, as rows: routes to providers, models as aliases to them, and price lists that never change.

Part of batches.models, which imports these: the catalogue that the code reads is batches.catalogue.
"""

from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

NAME = RegexValidator(r"\A[a-z0-9][a-z0-9._-]*\Z", "Small letters, digits, dots and hyphens only.")


class ProviderRoute(models.Model):
    """Where jobs go: an address that speaks a provider's format, its key, and how much it may be given at once.

    What is empty comes from the environment (PROVIDER_OPENAI_…, PROVIDER_SIMULATOR_…), which knows the routes `openai`
    and `simulator`. A key is either encrypted here or named: `api_key_variable` is an environment variable.
    """

    class Kind(models.TextChoices):
        OPENAI = "openai", "OpenAI Videos, JSON"
        OPENAI_FORM = "openai-form", "OpenAI Videos, multipart form (vLLM-Omni)"
        VEO = "veo", "Google Veo, long-running operations"

    name = models.CharField(primary_key=True, max_length=40, validators=[NAME])
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.OPENAI)
    base_url = models.CharField(max_length=500, blank=True)
    api_key_encrypted = models.TextField(blank=True, editable=False)
    api_key_variable = models.CharField(max_length=100, blank=True)
    max_in_flight = models.PositiveIntegerField(null=True, blank=True)
    submits_per_minute = models.PositiveIntegerField(null=True, blank=True)
    # The operators' switch: nothing is submitted while it is set; what the provider has is polled all the same.
    paused_at = models.DateTimeField(null=True, editable=False)
    paused_by = models.CharField(max_length=40, blank=True, editable=False)
    paused_reason = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        db_table = "batches_route"
        verbose_name = "route"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["openai", "openai-form", "veo"]), name="batches_route_kind_known"
            ),
            models.CheckConstraint(
                condition=(Q(max_in_flight=None) | Q(max_in_flight__gt=0))
                & (Q(submits_per_minute=None) | Q(submits_per_minute__gt=0)),
                name="batches_route_limits_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RouteHealth(models.Model):
    """How a route does, written by the workers: its circuit breaker, and whether its provider answers.

    The breaker is open while `opened_at` is set; one submit goes out as a probe whenever `probe_at` has come.
    """

    route = models.CharField(primary_key=True, max_length=40)
    failures = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    probe_at = models.DateTimeField(null=True)
    probes = models.PositiveIntegerField(default=0)
    held_until = models.DateTimeField(null=True)
    last_failure = models.CharField(max_length=20, blank=True)
    last_detail = models.CharField(max_length=500, blank=True)
    unanswered_since = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "route health"

    def __str__(self) -> str:
        return f"health of {self.route}"


class CatalogueModel(models.Model):
    """A model on offer: an alias to a route, what it can do, and its life cycle. Its price stands in price lists.

    It is deprecated from `deprecated_at` on, and retired from `sunset_at` on: then new orders are refused, and what
    waits to be submitted is refunded.
    """

    name = models.CharField(primary_key=True, max_length=60, validators=[NAME])
    route = models.ForeignKey(ProviderRoute, on_delete=models.PROTECT, null=True, blank=True, related_name="models")
    provider_model = models.CharField(max_length=200, blank=True)
    seconds = ArrayField(models.PositiveSmallIntegerField())
    default_seconds = models.PositiveSmallIntegerField()
    sizes = ArrayField(models.CharField(max_length=20))
    deadline_seconds = models.PositiveIntegerField(null=True, blank=True)
    deprecated_at = models.DateTimeField(null=True, blank=True)
    sunset_at = models.DateTimeField(null=True, blank=True)
    replacement = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = "model"
        constraints = [
            models.CheckConstraint(
                condition=Q(sizes__len__gt=0, seconds__len__gt=0, default_seconds__gt=0),
                name="batches_cataloguemodel_offers_something",
            ),
            models.CheckConstraint(
                condition=Q(sunset_at=None) | Q(deprecated_at__lte=F("sunset_at")),
                name="batches_cataloguemodel_deprecated_before_sunset",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PriceListQuerySet(models.QuerySet["PriceList"]):
    def newest_first(self) -> Self:
        """Order so that the first list whose time has come is the one in force."""
        return self.order_by("-effective_from", "-created_at")


class PriceList(models.Model):
    """The prices of all models from a moment on, under a version that batches keep. Written once, never changed."""

    version = models.CharField(primary_key=True, max_length=40)
    effective_from = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=40, editable=False)
    reason = models.CharField(max_length=500)

    objects = PriceListQuerySet.as_manager()

    def __str__(self) -> str:
        return self.version


def in_proportion(credits: int, *, base_seconds: int, seconds: int) -> int:
    """Return what a clip of `seconds` costs at `credits` for `base_seconds`, rounded up to a whole credit."""
    return -(-credits * seconds // base_seconds)


class Price(models.Model):
    """What a clip of `base_seconds` costs; longer and shorter ones in proportion, rounded up to a whole credit."""

    price_list = models.ForeignKey(PriceList, on_delete=models.PROTECT, related_name="prices")
    model = models.ForeignKey(CatalogueModel, on_delete=models.PROTECT, related_name="prices")
    credits = models.PositiveIntegerField()
    base_seconds = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["price_list", "model"], name="batches_price_once"),
            models.CheckConstraint(condition=Q(credits__gt=0, base_seconds__gt=0), name="batches_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.model_id}: {self.credits} for {self.base_seconds} s"

    def of_clip(self, seconds: int) -> int:
        """Return the credits of one clip of `seconds`."""
        return in_proportion(self.credits, base_seconds=self.base_seconds, seconds=seconds)
