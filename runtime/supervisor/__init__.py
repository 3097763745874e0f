"""What is left running: one pair of processes per project that keeps containers, logs, health, restarts, names and events. Stdlib only.

``keeper`` is the parent and waits; ``worker`` does everything; ``client`` is how other processes talk to it; ``logs_reader`` needs neither.
"""
