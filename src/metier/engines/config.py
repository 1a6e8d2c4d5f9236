"""What the recipe's `engine` section may say. All of it is execution: it never changes what comes out."""

from __future__ import annotations

from metier.config import Section, execution


class EngineConfig(Section):
    """Where the work of collect and prepare is done."""

    name: str = execution("local")
    """`local`: on the processors of this machine; `ray`: on an existing Ray cluster."""
    address: str = execution("")
    """Ray: address of the cluster, such as `10.0.0.5:6379`, or `auto` on one of its machines; empty: the environment
    variable RAY_ADDRESS."""
    workers: int = execution(0, ge=0)
    """Processes that work at once; 0: one for each processor of the machine or of the cluster."""
