"""Who sends and who receives what `benchmarks.webhooks` measures: ours, django-webhook, a bare loop, and a receiver."""
