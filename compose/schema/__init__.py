"""What a Compose file may say: every attribute with its forms, its text and its description, as tables of types.

One source of truth: the loader reads by these tables, ``config`` prints by them, ``config --schema`` describes them. Runs in the command's process.
"""
