"""The host's CA certificates for RUN steps, on request, and nothing of them in the image. Runs in worker threads of the command's process.

Environment variables point most programs at a file below /dev, which is the step's own tmpfs. For those that read the system's bundle only
(wget with GnuTLS), an image's existing bundle is covered in the step's upper directory, not by a mount: installing ca-certificates renames
a new bundle over the old one, which a mount point forbids. Afterwards the cover goes, unless the step itself wrote a new bundle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from runtime.build.writer import LayerWriter
from runtime.bundle_mounts import BindEntry
from runtime.errors import BuildError

TARGET = "/dev/.pycompose-ca-certificates.crt"
_HOST_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
_VARIABLES = (
    "SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
)  # fmt: skip


class HostTrust:
    """The covers of one step. Call ``cover`` before it runs and ``uncover`` afterwards."""

    def __init__(self, upper: str, lowers: Sequence[str]) -> None:
        self._writer = LayerWriter(upper, lowers)
        self._covers: list[tuple[str, os.stat_result]] = []

    def cover(self) -> tuple[BindEntry, Mapping[str, str]]:
        """The mount and the variables of the step. Raises BuildError when this host has no bundle."""
        source = host_bundle()
        with open(source, "rb") as file:
            trusted = file.read()
        for path in _HOST_BUNDLES:
            self._cover(path, trusted)
        return BindEntry(source=source, target=TARGET, read_only=True), dict.fromkeys(_VARIABLES, TARGET)

    def uncover(self) -> None:
        """Take away what the step left as it was."""
        for path, before in self._covers:
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            if (found.st_ino, found.st_size, found.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns):
                os.unlink(path)

    def _cover(self, path: str, trusted: bytes) -> None:
        node = self._writer.view.locate(path).node
        if node is None or not node.is_file or node.path.startswith(self._writer.upper):
            return
        self._writer.directory(node.name.rpartition("/")[0])
        with open(node.path, "rb") as file:
            self._writer.content(node.name, file.read() + b"\n" + trusted)
        host = self._writer.host(node.name)
        os.chmod(host, 0o644)
        self._covers.append((host, os.lstat(host)))


def host_bundle() -> str:
    """The host's bundle of CA certificates. Raises BuildError."""
    for path in _HOST_BUNDLES:
        if os.path.isfile(path):
            return os.path.realpath(path)
    raise BuildError(
        "this host has no bundle of CA certificates to trust", hint="install ca-certificates, or do not ask builds to trust the host's"
    )
