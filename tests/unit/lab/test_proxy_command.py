"""What the proxy's command refuses before it does anything."""

import pytest

from meter_sim.lab.proxy.command import proxy_command

LINK = "a=127.0.0.1:0=127.0.0.1:1"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (["a=127.0.0.1:1883"], "is not NAME=HOST:PORT=BROKERHOST:PORT"),
        (["a=127.0.0.1:99999=127.0.0.1:1"], "--listen a: '127.0.0.1:99999' is not HOST:PORT, such as"),
        (["a=127.0.0.1=127.0.0.1:1"], "--listen a: '127.0.0.1' is not HOST:PORT"),
        ([f"a b{LINK[1:]}"], "a name is letters, digits"),
        ([f"control{LINK[1:]}"], "and not 'control'"),
        ([LINK, LINK], "the names a, a are not all different"),
    ],
)
def test_wrong_links_are_refused(listen: list[str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        proxy_command(listen)


def test_control_that_others_can_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="other machines could reach it, and it has no password"):
        proxy_command([LINK], "0.0.0.0:0")


def test_wrong_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="--clock: 'noon' is not START@EPOCHxSPEED"):
        proxy_command([LINK], clock="noon")
