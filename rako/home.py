"""The front page: what this server is and where to go from here."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """GET /"""
    return render(request, "home.html", {"base_url": settings.RAKO_BASE_URL, "mode": settings.RAKO_MODE})
