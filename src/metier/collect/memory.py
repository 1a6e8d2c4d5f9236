"""How much memory a process takes, and how it is kept from taking more.

Purpose: a parser that eats all memory must cost one file and not the machine. The resident size is what counts and is
watched from outside; a process also limits its own data, so that one huge request fails at once as a MemoryError.
Not covered: Windows, where both do nothing.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

SPARE = 2  # a process may reserve this many times what it may hold: allocators and threads reserve more than they touch


def resident(process: int) -> int:
    """Bytes that a process has in memory; 0 when that cannot be told (it is gone, or the system does not say)."""
    try:
        with open(f"/proc/{process}/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _asked(process) if sys.platform == "darwin" else 0


def limit_own(memory: int) -> None:
    """Let this process have data of at most twice `memory` bytes; 0: no limit."""
    if not memory or not sys.platform.startswith("linux"):  # elsewhere the limit is not about mapped memory
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = SPARE * memory if hard == resource.RLIM_INFINITY else min(SPARE * memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _asked(process: int) -> int:
    """macOS has no /proc; asking `ps` takes some milliseconds."""
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, timeout=5, check=False)
        return int(told.stdout.split()[0]) * 1024 if told.stdout.split() else 0
    return 0
