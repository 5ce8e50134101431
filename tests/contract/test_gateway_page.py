"""`docs/gateway.md` says what the contract does: its payloads, codes, numbers and links."""

import hashlib
import hmac
import json
import os
import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from headend.wire.checksum import MAX_CRC, unseal
from headend.wire.codec import decode
from headend.wire.errors import ErrorCode, RefusalCode, RowCode
from headend.wire.keys import MasterKey
from headend.wire.limits import (
    FUTURE_TOLERANCE_S,
    MAX_DETAIL_CHARS,
    MAX_INTEGER,
    MAX_PAYLOAD_BYTES,
    MAX_POLICIES,
    MAX_PROTECTED,
    MAX_ROWS,
)
from headend.wire.messages import (
    KINDS,
    Commands,
    CreditCommand,
    Outcome,
    PolicyCommand,
    ReadingKind,
    ReceiptOutcome,
    RelayCommand,
    Status,
    Unknown,
)
from headend.wire.signing import LABEL, canonical, digest, verify
from headend.wire.topics import Address, Channel, parse_topic

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gateway.md").read_text()
BLOCKS = re.findall(r"^```json (\S+)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = re.findall(r"^(ami/v1/\S+) (\{.*\})$", PAGE, re.MULTILINE)
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [shlex.split(line) for line in SHELL.replace("\\\n", " ").splitlines()]
VECTORS = json.loads((ROOT / "tests" / "contract" / "golden" / "signing.json").read_bytes())
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


def test_checksum_is_shown_as_it_is_computed() -> None:
    section = PAGE.partition("**Checksum.**")[2].partition("\n## ")[0]
    assert f"`123456789` gives {zlib.crc32(b'123456789')}" in section
    assert str(MAX_CRC) in section
    sealed = [payload for _, payload in PAYLOADS if '"crc"' in payload]
    assert len(sealed) >= 3
    assert all(unseal(payload.encode()) != payload.encode() for payload in sealed)
    # What a reader sees on the screen is what the head-end writes.
    assert all(payload in sealed for topic, payload in SHOWN if "/down/" in topic)


@pytest.mark.skipif(sys.byteorder != "little", reason="the line says so")
def test_shell_line_computes_the_checksum() -> None:
    (line,) = re.findall(r"`(printf %s \"\$body\"[^`]*)`", PAGE)
    for body in ('{"v":1,"online":true', '{"v":1,"x":"' + "y" * 10_000 + '"'):
        done = subprocess.run(
            ["bash", "-c", line], env=os.environ | {"body": body}, capture_output=True, check=True
        )
        assert int(done.stdout) == zlib.crc32(body.encode())


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
    for number in (MAX_PAYLOAD_BYTES, MAX_ROWS, MAX_INTEGER, MAX_DETAIL_CHARS, MAX_POLICIES, MAX_PROTECTED):
        assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", limits), number


def signed_commands() -> Commands:
    (payload,) = [payload for _, payload in BLOCKS if '"signature"' in payload]
    message = decode(Channel.COMMANDS, payload.encode())
    assert isinstance(message, Commands)
    return message


def test_signatures_on_the_page_hold_with_the_keys_of_the_vectors() -> None:
    masters = {row["key"]: MasterKey(sign_from_s=0, **row) for row in VECTORS["master_keys"]}
    commands = signed_commands().commands
    assert [command.kind for command in commands] == ["credit", "policy"]
    for command in commands:
        assert not isinstance(command, Unknown)
        assert verify(command, lambda key, purpose, meter: masters[key].meter_key(purpose, meter)) is None


def test_canonical_text_and_shell_line_on_the_page_are_of_the_command_above_them() -> None:
    credit = signed_commands().commands[0]
    assert isinstance(credit, CreditCommand)
    text = canonical(credit).decode()
    assert f"`{text}`" in PAGE
    ((meter_key, shell_text),) = [
        (line[-1].partition("hexkey:")[2], line[1]) for line in COMMANDS if line[0] == "printf"
    ]
    assert shell_text == text
    assert hmac.new(bytes.fromhex(meter_key), text.encode(), hashlib.sha256).hexdigest() == credit.signature


def test_digest_on_the_page_is_that_of_its_document() -> None:
    message = signed_commands()
    policy = message.commands[1]
    assert isinstance(policy, PolicyCommand)
    assert message.policies is not None
    assert [digest(document) for document in message.policies] == [policy.digest]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("credit", ("seq", "credit_total_micros", "issued_at_s")),
        ("relay", ("version", "relay", "issued_at_s", "expires_at_s")),
        ("policy", ("version", "digest", "issued_at_s")),
    ],
)
def test_page_names_every_signed_field_in_its_order(kind: str, fields: tuple[str, ...]) -> None:
    names = ", ".join(f"`{name}`" for name in (LABEL, kind, "key", "meter", *fields))
    assert f"| `{kind}` | {names} |" in PAGE
    model = {"credit": CreditCommand, "relay": RelayCommand, "policy": PolicyCommand}[kind]
    assert {"key", "meter", *fields} == set(model.model_fields) - {"kind", "signature"}


def test_page_names_the_kinds_and_the_tolerance_of_dates() -> None:
    section = PAGE.partition("## Signatures and policies")[2].partition("\n## ")[0]
    assert all(f"`{kind}`" in section for kind in KINDS)
    assert section.count(f"{FUTURE_TOLERANCE_S} s") >= 2


def test_links_lead_somewhere() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {"#" + title.lower().replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > len(titles)
    for link in links:
        assert link in anchors or (ROOT / "docs" / link).exists(), link
    assert anchors <= set(links)
