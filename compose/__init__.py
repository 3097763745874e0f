"""What the user wrote, and what to do about it: load, plan and execute Compose projects.

``compose.load(...)`` is the Python API; everything else is imported by the command that needs it.
"""

__version__ = "0.1.0"
