"""The admin site."""

from django.contrib import admin


class Sora2AdminSite(admin.AdminSite):
    site_header = "Sora2 Enterprise"
