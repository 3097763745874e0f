"""A note."""

from django.db import models


class Note(models.Model):
    """One line of text and when it was written."""

    text = models.CharField(max_length=200)
    written = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.text
