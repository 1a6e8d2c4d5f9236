"""Whether idle OpenMP threads should spin or sleep: decided once, before torch is imported.

Spinning threads start the next operation sooner (a third faster on a quiet machine); on a machine that others use too
they fight for the cores (three times slower with one busy neighbour on two cores). So look at how busy the others are.
The choice changes no result. Not covered: systems without /proc/stat, where the library's own default stays.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
LOOK_SECONDS = 0.1
BUSY = 0.25  # of one core


def choose_waiting() -> None:
    """Set OMP_WAIT_POLICY=PASSIVE when others keep more than a quarter of a core busy, unless it is already set."""
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ and others_busy() > BUSY:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def others_busy(stat: Path = STAT) -> float:
    """Cores that other processes kept busy during a short look; 0.0 where it cannot be seen."""
    first = _jiffies(stat)
    if first is None:
        return 0.0
    time.sleep(LOOK_SECONDS)
    second = _jiffies(stat)
    assert second is not None
    total, busy = second[0] - first[0], second[1] - first[1]
    return (os.cpu_count() or 1) * busy / total if total > 0 else 0.0


def _jiffies(stat: Path) -> tuple[int, int] | None:
    """(all, busy) time of all processors since the start; busy leaves out idle and waiting for disks."""
    try:
        fields = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(fields), sum(fields) - fields[3] - fields[4]
