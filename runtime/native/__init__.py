"""The only ctypes in the house: system calls and two C libraries, in every process that needs them."""
