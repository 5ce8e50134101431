"""`docs/gateway.md` says what the contract does: its payloads, codes, numbers and links."""

import re
import shlex
from pathlib import Path

import pytest

from headend.wire.codec import decode
from headend.wire.errors import ErrorCode, RefusalCode, RowCode
from headend.wire.limits import MAX_DETAIL_CHARS, MAX_INTEGER, MAX_PAYLOAD_BYTES, MAX_ROWS
from headend.wire.messages import Outcome, ReadingKind, ReceiptOutcome, Status
from headend.wire.topics import Address, Channel, parse_topic

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gateway.md").read_text()
BLOCKS = re.findall(r"^```json (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"^(ami/v1/\S+) (\{.*\})$", PAGE, re.MULTILINE)
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in SHELL.replace("\\\n", " ").splitlines()]
PUBLISHED = [command for command in COMMANDS if command[0] == "mosquitto_pub"]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


PAYLOADS = [*BLOCKS, *SHOWN, *((option(one, "-t"), option(one, "-m")) for one in PUBLISHED)]


@pytest.mark.parametrize(("topic", "payload"), PAYLOADS)
def test_payload_on_the_page_is_valid_on_its_topic(topic: str, payload: str) -> None:
    address, channel = parse_topic(topic)
    assert address == Address("R1", "G1")
    decode(channel, payload.encode())


def test_page_shows_every_channel() -> None:
    assert {parse_topic(topic)[1] for topic, _ in PAYLOADS} == set(Channel)
    for channel in Channel:
        row = f"| `{Address('{region}', '{gateway}').topic(channel)}` |"
        assert row in PAGE


def test_walk_through_publishes_as_the_rules_say() -> None:
    assert len(PUBLISHED) >= 6
    for command in PUBLISHED:
        assert option(command, "-q") == "1"
        assert ("-r" in command) == option(command, "-t").endswith("/up/status")


def test_walk_through_has_subscription_and_last_will() -> None:
    (ear,) = [command for command in COMMANDS if command[0] == "mosquitto_sub"]
    assert option(ear, "-t") == Address("R1", "G1").down_filter()
    assert "--will-retain" in ear
    _, channel = parse_topic(option(ear, "--will-topic"))
    assert decode(channel, option(ear, "--will-payload").encode()) == Status(online=False)


@pytest.mark.parametrize("code", [*ErrorCode, *RowCode, *RefusalCode])
def test_page_explains_every_code(code: str) -> None:
    assert f"| `{code}` |" in PAGE


@pytest.mark.parametrize("word", [*ReceiptOutcome, *ReadingKind, *Outcome])
def test_page_explains_every_word_of_the_contract(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_page_states_the_limits_of_the_contract() -> None:
    limits = PAGE.partition("## Limits")[2].partition("## ")[0]
    for number in (MAX_PAYLOAD_BYTES, MAX_ROWS, MAX_INTEGER, MAX_DETAIL_CHARS):
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", limits), number


def test_links_lead_somewhere() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {"#" + title.lower().replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > len(titles)
    for link in links:
        assert link in anchors or (ROOT / "docs" / link).exists(), link
    assert anchors <= set(links)
