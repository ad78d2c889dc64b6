"""The front page: what this server is and where to go from here."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from rako.core.errors import only


@only("GET", "HEAD")
def home(request: HttpRequest) -> HttpResponse:
    """GET /"""
    return render(request, "home.html", {"base_url": settings.RAKO_BASE_URL, "mode": settings.RAKO_MODE})
