"""A gateway of mosquitto_pub and mosquitto_sub alone: the very commands of the walk-through in docs/gateway.md."""

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from running import Running, Site, environment, find_free_port, make_site, running
from waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"

pytestmark = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")


def walk_through() -> list[str]:
    """The shell blocks of the walk-through, in order."""
    section = PAGE.read_text().split("\n## Walk-through\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


@dataclass
class Walk:
    """What was seen on the way."""

    site: Site
    ear: Running
    frames_answered: list[tuple[int, str, list[Any]]] = field(default_factory=list)
    queue_before: str = ""
    queue_after: str = ""
    commands: list[Any] = field(default_factory=list)
    commands_after_the_answer: int = 0

    def heard(self, channel: str) -> list[Any]:
        prefix = f"ami/v1/R1/G1/down/{channel} "
        lines = self.ear.output().split("\n")[:-1]
        return [json.loads(line.removeprefix(prefix)) for line in lines if line.startswith(prefix)]

    def receipts(self) -> list[Any]:
        return [receipt for message in self.heard("receipts") for receipt in message["receipts"]]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    site = make_site(tmp_path_factory.mktemp("walk"))
    shutil.copy(PAGE.parents[1] / "broker.yaml", site.folder)
    port = find_free_port()
    blocks = [block.replace("-p 1883", f"-p {port}") for block in walk_through()]
    broker_block, server_block, ear_block, hello, readings, recharge, answer, goodbye = blocks
    register, serve_line = server_block.strip().splitlines()
    assert (broker_block.strip(), serve_line) == ("headend broker", "headend serve")
    assert "mosquitto_sub" in ear_block
    ear_line = ear_block.replace(
        "mosquitto_sub", "exec stdbuf -oL mosquitto_sub -d", 1
    )  # -d: says when it is ready
    settings = {"HEADEND_BROKER": f"mqtt://127.0.0.1:{port}", "HEADEND_ANSWER_TIMEOUT_S": "1"}

    def shell(block: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", block],
            cwd=site.folder,
            env=environment(HEADEND_STORE=str(site.store)),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done
        assert done.stderr == ""
        return done.stdout

    with running(site, "headend", "broker", "--port", str(port)) as broker:
        broker.wait_for("broker ready")
        shell(register)
        with (
            running(site, "headend", "serve", **settings) as serve,
            running(site, "bash", "-c", ear_line) as ear,
        ):
            serve.wait_for("connected to broker")
            ear.wait_for("Subscribed")
            walk = Walk(site, ear)
            shell(hello)
            wait_until(lambda: len(walk.receipts()) >= 1)
            shell(readings)
            wait_until(lambda: len(walk.receipts()) >= 3)
            shell(readings)  # "send one of them again"
            wait_until(lambda: len(walk.receipts()) >= 5)
            walk.queue_before = shell(recharge)
            wait_until(lambda: len(walk.heard("commands")) >= 2)  # nobody has answered: it comes again
            shell(answer)
            wait_until(lambda: site.rows("SELECT state FROM delivery") == [("APPLIED",)])
            walk.commands = walk.heard("commands")
            time.sleep(2.2)  # two more timeouts
            walk.commands_after_the_answer = len(walk.heard("commands")) - len(walk.commands)
            ear.process.terminate()
            shell(goodbye)
            wait_until(lambda: site.rows("SELECT kind, subject FROM outage WHERE kind = 'GATEWAY'") != [])
            assert serve.ask_to_stop() == 0
            walk.queue_after = shell("headend queue M1")
        assert broker.ask_to_stop() == 0
    return walk


def test_every_frame_is_accepted_also_the_second_time(walk: Walk) -> None:
    assert [receipt["frame"] for receipt in walk.receipts()] == [1, 2, 3, 2, 3]
    assert all(receipt["outcome"] == "accepted" and receipt["refused"] == [] for receipt in walk.receipts())


def test_the_readings_are_in_the_head_end(walk: Walk) -> None:
    row = walk.site.good("meter", "show", "M1", "--json").json()
    assert (row["reading_seq"], row["register_wh"], row["settled_up_to"]) == (2, 3500, "2024-10-29")


def test_the_command_is_what_the_page_shows_and_comes_until_it_is_answered(walk: Walk) -> None:
    for message in walk.commands:
        (command,) = message["commands"]
        shown = {name: command[name] for name in ("kind", "meter", "seq", "credit_total_micros")}
        assert shown == {"kind": "credit", "meter": "M1", "seq": 1, "credit_total_micros": 50_000_000}
    assert walk.commands_after_the_answer == 0


def test_the_queue_shows_the_credit_as_applied(walk: Walk) -> None:
    assert "PAY-1" in walk.queue_before
    assert "APPLIED" not in walk.queue_before
    assert "APPLIED" in walk.queue_after


def test_the_balance_is_the_recharge_less_the_day(walk: Walk) -> None:
    """2,500 Wh at 4,120 micros are Rs 10.30."""
    assert walk.site.good("balance", "M1").output.startswith("M1  Rs 39.70\n")
    assert len(walk.site.good("statement", "M1", "--json").json()) == 2


def test_the_gateway_s_leaving_is_in_the_journal(walk: Walk) -> None:
    (row,) = [row for row in walk.site.good("outages", "--json").json() if row["kind"] == "GATEWAY"]
    assert row["subject"] == "R1/G1"


def test_the_audit_is_clean(walk: Walk) -> None:
    assert walk.site.good("audit").output.splitlines()[-1] == "audit: all is well"
