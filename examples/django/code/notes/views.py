"""One page: the notes, and a form for a new one."""

from django.db import connection
from django.shortcuts import redirect, render
from notes.models import Note


def index(request):
    """List the notes, newest first; POST adds one. Before the migrations have run, say how to run them."""
    if Note._meta.db_table not in connection.introspection.table_names():
        return render(request, "notes/index.html", {"unmigrated": True})
    if request.method == "POST" and request.POST.get("text"):
        Note.objects.create(text=request.POST["text"][:200])
        return redirect("index")
    return render(request, "notes/index.html", {"notes": Note.objects.order_by("-written")[:50]})
