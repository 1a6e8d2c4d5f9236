from __future__ import annotations

import pytest
from tests.train.models import build, build_writer

from metier.console import quiet_libraries

quiet_libraries()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """family -> a saved random base of it, built once."""
    made = {}

    def get(family: str):
        if family not in made:
            made[family] = build(family, tmp_path_factory.mktemp("bases") / family)
        return made[family]

    return get


@pytest.fixture(scope="session")
def writer(tmp_path_factory):
    """family -> a saved random base that writes, built once."""
    made = {}

    def get(family: str):
        if family not in made:
            made[family] = build_writer(family, tmp_path_factory.mktemp("writers") / family)
        return made[family]

    return get
