from collections.abc import Iterator

import pytest
from unit.service.bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A head-end with the meters M1 and M2 behind G1 and M3 behind G2, not connected yet."""
    made = Bench()
    made.register("M1", "M2")
    made.register("M3", gateway="G2")
    yield made
    made.store.close()


@pytest.fixture
def online(bench: Bench) -> Bench:
    """The same, with both gateways in contact."""
    bench.connect()
    return bench
