"""Loads Compose files: one module per phase, in order. Runs in the command's process.

document (YAML with places) → dotenv → interpolate → canonical (the tables of ``compose.schema``) → extends, include and merge → defaults, paths and
normalisation → selection and consistency → bind (the frozen model). ``load`` is all of it.
"""

from __future__ import annotations

from compose.loader.options import LoadOptions
from compose.loader.project import Loaded, load, load_tree

__all__ = ["LoadOptions", "Loaded", "load", "load_tree"]
