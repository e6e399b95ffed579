"""Sora2 Enterprise: batches of video jobs on prepaid credits, with books that finance can verify."""

from sora2.celery import app as celery_app

__all__ = ["celery_app"]
