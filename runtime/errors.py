"""The error tree of the engine; every process of ours raises these, the command line prints them in one place."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """Root of everything the engine can refuse or fail at.

    ``message`` is one sentence a user can act on, ``hint`` the next thing to try, ``exit_code`` what the process ends with.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(RuntimeFailure):
    """The named container, image, network, volume or file does not exist."""


class Conflict(RuntimeFailure):
    """Somebody else took the name, address or port between observing and doing; observing again may help."""


class InUse(RuntimeFailure):
    """The thing to be removed is still used."""


class Unsupported(RuntimeFailure):
    """The host, or this version, cannot do what was asked for."""


class KernelError(RuntimeFailure):
    """A system call failed: ``call`` is its kernel name, ``errno`` the number, ``subject`` the path or object."""

    def __init__(self, call: str, errno: int, subject: str = "", *, hint: str | None = None) -> None:
        import os

        what = f"{call} {subject}".rstrip()
        super().__init__(f"{what}: {os.strerror(errno)}", hint=hint)
        self.call = call
        self.errno = errno
        self.subject = subject


class LaunchError(RuntimeFailure):
    """A container's first process could not be started; ``stage`` names the step of the sandbox that failed.

    The exit code follows Docker: 127 not found, 126 not executable, 125 anything else of ours.
    """

    def __init__(self, stage: str, message: str, *, exit_code: int = 125, errno: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.stage = stage
        self.errno = errno
        self.exit_code = exit_code


class ImageError(RuntimeFailure):
    """An image, layer, manifest or archive is malformed, hostile or missing."""


class RegistryError(ImageError):
    """A registry refused, failed or could not be reached."""


class BuildError(RuntimeFailure):
    """A Dockerfile is wrong or one of its steps failed."""
