"""The door `engine`: where independent pieces of work are done. An engine is opened by `(config, console)`."""

from metier.engines.data import Engine, Payload, WorkerDied, local, open_engine, ray

__all__ = ["Engine", "Payload", "WorkerDied", "local", "open_engine", "ray"]
