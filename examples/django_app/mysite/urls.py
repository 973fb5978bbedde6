from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import path

from .leading import pod


def tell(request: HttpRequest) -> HttpResponse:
    role = f"leads with fencing token {pod.fencing_token}" if pod.is_leader() else "follows"
    return HttpResponse(f"worker {os.getpid()} of {os.getppid()} {role}\n")


urlpatterns = [path("", tell)]
