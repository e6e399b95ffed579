"""Where the internal sinks listen, below `webhook-sink/`."""

from django.urls import path

from webhooks.sink_views import receive

urlpatterns = [path("<slug:token>", receive, name="webhook-sink")]
