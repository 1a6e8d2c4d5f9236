"""Two machines of Ray on this one: the same bytes as on a laptop, and errors before any work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metier import tables

from .helpers import write_documents

pytestmark = pytest.mark.cluster
TABLES = ("examples", "rejected", "conflicts", "duplicates")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two machines with one processor each."""
    pytest.importorskip("ray")
    pytest.importorskip("daft")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    machine = {"num_cpus": 1, "object_store_memory": 200_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    try:
        cluster.add_node(**machine)
        yield cluster.address
    finally:
        cluster.shutdown()
        if inherited is None:
            os.environ.pop("PYTHONPATH")
        else:
            os.environ["PYTHONPATH"] = inherited


def run(stage: str, folder: Path, engine: str, address: str) -> subprocess.CompletedProcess[str]:
    """A stage into a folder called like its engine. Daft keeps one runner a process, so each engine has its own."""
    return subprocess.run(
        [sys.executable, "-m", "engines.helpers", stage, str(folder), engine, address, engine],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip


def test_a_cluster_gives_the_bytes_of_a_laptop(cluster: str, tmp_path: Path) -> None:
    write_documents(tmp_path, 600, words=2, rows=100)
    for engine, address in (("local", ""), ("ray", cluster)):
        done = run("prepare", tmp_path, engine, address)
        assert done.returncode == 0, done.stderr
        assert ("2 machines, 2 workers" in done.stderr) == (engine == "ray")
    for name in TABLES:
        one, two = ((tmp_path / engine / f"{name}.parquet").read_bytes() for engine in ("local", "ray"))
        assert one == two, name
    assert tables.read(tmp_path / "ray" / "examples.parquet").num_rows > 50


def test_files_are_read_on_the_machines_of_a_cluster(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(90):  # two batches
        (tmp_path / "in" / f"{number}.html").write_text(f"<html><body><p>page {number} of ninety</p></body></html>")
    (tmp_path / "in" / "table.csv").write_text("text,label\nhello there,x\n,y\n")
    (tmp_path / "in" / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    for engine, address in (("local", ""), ("ray", cluster)):
        done = run("collect", tmp_path, engine, address)
        assert done.returncode == 0, done.stderr
    for name in ("documents", "rejected"):
        one, two = ((tmp_path / engine / f"{name}.parquet").read_bytes() for engine in ("local", "ray"))
        assert one == two, name
    assert tables.read(tmp_path / "ray" / "documents.parquet").num_rows == 91
    assert tables.read(tmp_path / "ray" / "rejected.parquet").num_rows == 2


def test_machines_with_other_packages_are_refused(cluster: str) -> None:
    code = (
        "import platform; platform.python_version = lambda: '3.0.0'  # here, not there\n"
        "from metier.console import Console; from metier.engines import open_engine\n"
        "from metier.engines.config import EngineConfig\n"
        f"open_engine(EngineConfig(name='ray', address={cluster!r}), Console(quiet=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "a machine of the cluster has other packages: python" in done.stderr and "(here 3.0.0)" in done.stderr
