"""The notes page, the admin, and what the health check asks."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
from notes.views import index

urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
    path("health", lambda request: HttpResponse("ok")),
]
