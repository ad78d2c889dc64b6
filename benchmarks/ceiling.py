"""The ceiling: a bare Django view, without middleware, that runs as many SELECTs and writes in as many transactions."""

import random

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.models import Row

ROWS = 1000


@csrf_exempt
def ceiling(request: HttpRequest, selects: int, writes: int, commits: int) -> JsonResponse:
    """So many single-row SELECTs by key, so many INSERTs spread over so many transactions."""
    found = [Row.objects.get(pk=random.randint(1, ROWS)).text for _ in range(selects)]  # noqa: S311
    for number in range(commits):
        share = writes // commits + (number < writes % commits)
        if share == 1:
            Row.objects.create(text="x" * 300, data={"n": number})
            continue
        with transaction.atomic():
            for _ in range(share):
                Row.objects.create(text="x" * 300, data={"n": number})
    response = JsonResponse({"found": len(found)})
    response["Content-Length"] = len(response.content)
    return response


urlpatterns = [path("ceiling/<int:selects>/<int:writes>/<int:commits>", ceiling)]
