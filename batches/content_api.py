"""The bytes of a video over HTTP: to a key, and to whoever holds an address that a key asked for."""

from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from batches import outputs
from batches.content import stream
from batches.models import Item, Output
from batches.problems import link_invalid, no_video, video_deleted
from sora2.api import AlwaysJson


def video_of(item: Item) -> Output:
    """Return an item's video, if it has one and it is kept. Raises Problem 404."""
    output: Output | None = getattr(item, "output", None)
    if output is None:
        raise no_video()
    if output.purged_at is not None:
        raise video_deleted(output.purged_at)
    return output


def content(output: Output, request: Request) -> HttpResponseBase:
    """Answer the bytes of a video, or a range of them. Raises Problem 404 for one that is being purged."""
    try:
        return stream(
            name=output.video,
            content_type=output.content_type,
            headers=request.headers,
            etag=output.sha256,
            filename=outputs.filename_of(output),
            head=request.method == "HEAD",
        )
    except FileNotFoundError:
        if output.expires_at is not None and output.expires_at <= timezone.now():
            raise video_deleted(output.expires_at) from None
        raise


@extend_schema(exclude=True)
class LinkedContentView(APIView):
    """Where an address of ours leads. The token in it stands for the key that asked, for this one video."""

    http_method_names = ["get", "head"]
    content_negotiation_class = AlwaysJson
    authentication_classes = []
    permission_classes = []

    def get(self, request: Request, batch_id: str, item_id: str, token: str) -> HttpResponseBase:
        """Answer the video's bytes, or a range of them."""
        try:
            outputs.check_token(item_id=item_id, token=token)
        except outputs.LinkInvalid:
            raise link_invalid() from None
        item = Item.objects.select_related("output").filter(pk=item_id, batch_id=batch_id).first()
        if item is None:
            raise link_invalid()
        return content(video_of(item), request)
