"""The pilot over HTTP: how far it is, by its three criteria."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from customers.models import Mode
from pilots.criteria import judge
from pilots.models import Pilot
from pilots.representations import pilot_json
from pilots.schemas import SHOW_PILOT
from sora2.api import Problem
from sora2.operations import documented


class PilotView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(SHOW_PILOT)
    def get(self, _request: Request) -> Response:
        """Answer the organization's pilot. A test key sees that one too, without the live records behind it."""
        pilot = Pilot.objects.within(self.access).first()
        if pilot is None:
            raise Problem("not_found", "Your organization has no pilot.")
        judgement = judge(pilot=pilot, now=timezone.now())
        return Response(pilot_json(judgement, evidence=self.key.mode == Mode.LIVE))
