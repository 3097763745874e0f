"""nftables transactions by libnftables (ctypes), or by the ``nft`` program where the library is missing. For ``runtime.network``.

Commands are text in nft(8)'s language, a whole batch being one transaction; listings come back as JSON (libnftables-json(5)).
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

from runtime.errors import RuntimeFailure, Unsupported

_LIBRARY = "libnftables.so.1"
_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON, nftables/libnftables.h


class NftablesError(RuntimeFailure):
    """The kernel or libnftables refused a transaction; nothing of it was done."""


class Nftables:
    """One libnftables context, bound to the network namespace it is first used in. Not for several threads."""

    def __init__(self) -> None:
        self._library = load()
        self._context = _context(self._library) if self._library else None

    def run(self, commands: str) -> list[dict[str, Any]]:
        """Carry out ``commands`` as one transaction; the objects of its listings. Raises NftablesError."""
        code, output, error = self._by_library(commands) if self._library else _by_program(commands)
        if code:
            raise NftablesError(f"nftables: {_first_line(error)}", hint=_hint(error))
        listings = [json.loads(line)["nftables"] for line in output.splitlines() if line]
        return [o for listing in listings for o in listing if "metainfo" not in o]

    def close(self) -> None:
        """Free the context."""
        if self._library and self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def _by_library(self, commands: str) -> tuple[int, str, str]:
        library, context = self._library, self._context
        assert library is not None
        code = library.nft_run_cmd_from_buffer(context, commands.encode())
        output, error = library.nft_ctx_get_output_buffer(context), library.nft_ctx_get_error_buffer(context)
        return code, (output or b"").decode(), (error or b"").decode()


def load() -> ctypes.CDLL | None:
    """The library with its prototypes (libnftables(3)), or None where it is not installed."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def program() -> str | None:
    """The path of ``nft(8)``, also where root's PATH lacks the sbin directories."""
    import os
    import shutil

    return shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _context(library: ctypes.CDLL) -> int:
    context = library.nft_ctx_new(0)
    if not context:
        raise Unsupported("libnftables cannot be used here", hint="run pycompose doctor")
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    library.nft_ctx_output_set_flags(context, _OUTPUT_JSON)
    return int(context)


def _by_program(commands: str) -> tuple[int, str, str]:
    import os
    import subprocess

    path = program()
    if path is None:
        raise Unsupported("neither libnftables nor the nft program is installed", hint="install it: apt-get install nftables")
    file = os.memfd_create("nft")  # a file, because nft -j reads its input twice: as JSON, then as text
    try:
        os.write(file, commands.encode())
        argv = [path, "-j", "-f", f"/proc/self/fd/{file}"]
        done = subprocess.run(argv, pass_fds=[file], capture_output=True, text=True, check=False, timeout=60)
    finally:
        os.close(file)
    return done.returncode, done.stdout, done.stderr


def _first_line(error: str) -> str:
    return error.strip().splitlines()[0].rpartition("Error: ")[2] if error.strip() else "the transaction was refused"


def _hint(error: str) -> str | None:
    if "not permitted" in error:
        return "changing the firewall needs root (CAP_NET_ADMIN)"
    return "run pycompose doctor" if "not supported" in error or "No such file" in error else None
