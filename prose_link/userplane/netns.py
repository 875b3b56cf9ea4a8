"""Network namespaces: how this process enters one and leaves it again."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from prose_link.errors import ProseLinkError

_NAMED = Path("/run/netns")
"""Where iproute2 keeps the namespaces it names (ip-netns(8))."""
_OWN = Path("/proc/thread-self/ns/net")
_CLONE_NEWNET = 0x40000000
"""setns(2): the namespace must be one of networks."""


class NetnsError(ProseLinkError):
    """A network namespace that does not exist, or that this process may not enter."""


def namespace_path(name: str) -> Path:
    """Where a namespace is: `name` is a path, a name of `ip netns`, or empty for this process's own."""
    if not name:
        return _OWN
    return Path(name) if "/" in name else _NAMED / name


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Run the body within a namespace. Only the calling thread, and processes it starts meanwhile, are in it.

    Raises:
        NetnsError: there is no such namespace, or no permission to enter it.
    """
    if not name:
        yield
        return
    try:
        target = os.open(namespace_path(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        hint = "" if "/" in name else f"; `ip netns add {name}` makes it"
        raise NetnsError(f"there is no network namespace {name}{hint}") from None
    except OSError as error:
        raise NetnsError(f"network namespace {name}: {error.strerror}") from error
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(target, name)
        try:
            yield
        finally:
            _enter(home, "the one this process came from")
    finally:
        os.close(target)
        os.close(home)


def _enter(descriptor: int, name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise NetnsError(f"cannot enter network namespace {name}: {os.strerror(ctypes.get_errno())}")
