"""What the user wrote, and what to do about it: load, plan and execute Compose projects.

``compose.load(...)`` is the Python API; everything else is imported by the command that needs it.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import ``load``, ``LoadOptions`` and ``Project`` when they are first asked for: ``import compose`` alone costs nothing."""
    if name in ("load", "LoadOptions"):
        from compose import loader

        return getattr(loader, name)
    if name == "Project":
        from compose.model import Project

        return Project
    raise AttributeError(f"module 'compose' has no attribute {name!r}")
