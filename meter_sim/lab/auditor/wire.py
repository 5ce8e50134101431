"""What passed on the head-end's link, out of the wire log: commands that it sent, answers that reached it.

Messages are read with the contract; what cannot be read (a stranger's garbage) is left out here. Judges nothing.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from headend.wire.codec import decode
from headend.wire.errors import WireError
from headend.wire.messages import (
    Commands,
    CreditCommand,
    CreditResult,
    Hello,
    Outcome,
    PolicyCommand,
    PolicyResult,
    RelayCommand,
    RelayResult,
    Results,
    Unknown,
)
from headend.wire.topics import Channel
from meter_sim.lab.run_folder import read_only

_SENT: Final = """
SELECT at_s, payload FROM wire
WHERE link = 'headend' AND direction = 'up' AND topic LIKE '%/commands' AND payload IS NOT NULL ORDER BY frame_id
"""
_HEARD: Final = """
SELECT payload FROM wire
WHERE link = 'headend' AND direction = 'down' AND fate NOT IN ('lost', 'corrupted') AND payload IS NOT NULL
    AND topic LIKE ? ORDER BY frame_id
"""
_DIALLED: Final = """
SELECT at_s, client FROM wire WHERE link = 'fleet' AND direction = 'up' AND topic LIKE '%/status'
"""
_ALL: Final = "SELECT at_s, link, direction, topic, digest, fate FROM wire ORDER BY frame_id"


class Sent(NamedTuple):
    """A command that the head-end sent. `value`: the total of a credit, the position of a relay, a digest."""

    at_s: int
    kind: str
    meter: str
    number: int
    value: int | str
    expires_at_s: int | None


@dataclass(slots=True)
class Heard:
    """What reached the head-end of what meters have done: credits up to a number, other commands one by one."""

    credits: dict[str, int] = field(default_factory=dict)
    others: set[tuple[str, str, int]] = field(default_factory=set)
    """(meter, kind, version)"""

    def credited(self, meter: str, number: int) -> None:
        """A meter said that it stands at this credit number."""
        self.credits[meter] = max(self.credits.get(meter, 0), number)

    def says(self, meter: str, kind: str, number: int) -> bool:
        """Whether a meter said that it has carried this out."""
        return number <= self.credits.get(meter, 0) if kind == "CREDIT" else (meter, kind, number) in self.others


@dataclass(slots=True)
class Wire:
    """The head-end's link. `complete` False: the log misses something."""

    path: Path
    sent: list[Sent] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Clients of the fleet's link to which something happened on the way."""
    dialled: list[tuple[int, str]] = field(default_factory=list)
    """(when, client) of each connection of the fleet's link that began."""
    unreadable: int = 0
    """Commands of the head-end that the contract cannot read."""
    complete: bool = True

    def results(self) -> Heard:
        """What meters answered to commands."""
        heard = Heard()
        for message in self._messages(Channel.RESULTS):
            for result in message.results if isinstance(message, Results) else ():
                if isinstance(result, CreditResult):
                    # The counter acknowledges, whatever became of this command.
                    heard.credited(result.meter, result.seq)
                elif isinstance(result, RelayResult | PolicyResult) and result.outcome is Outcome.APPLIED:
                    heard.others.add((result.meter, result.kind.upper(), result.version))
        return heard

    def greetings(self) -> Heard:
        """What meters stood at as their gateways said hello: the far greater part of all bytes."""
        heard = Heard()
        for message in self._messages(Channel.HELLO):
            for row in message.meters if isinstance(message, Hello) else ():
                heard.credited(row.meter, row.credit_seq)
                heard.others.add((row.meter, "RELAY", row.relay_version))
                heard.others.add((row.meter, "POLICY", row.policy_version))
        return heard

    def _messages(self, channel: Channel) -> Iterator[Any]:
        run = read_only(self.path)
        try:
            for (payload,) in run.execute(_HEARD, (f"%/{channel}",)):
                yield _read(channel, payload)
        finally:
            run.close()


def read_wire(path: Path) -> Wire:
    """Read it."""
    run = read_only(path)
    try:
        wire = Wire(path)
        wire.sent = list(_sent(run, wire))
        touched = "SELECT DISTINCT client FROM wire WHERE link = 'fleet' AND fate <> 'passed'"
        wire.touched = {client for (client,) in run.execute(touched)}
        wire.dialled = run.execute(_DIALLED).fetchall()
        if run.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'run'").fetchone()[0]:
            row = run.execute("SELECT is_complete, dropped FROM run").fetchone()
            wire.complete = row is None or (row[0] == 1 and row[1] == 0)
    finally:
        run.close()
    return wire


def log_hash(path: Path | None, journal: bytes) -> str:
    """SHA-256 over everything that passed on the links, in order, and the journal."""
    found = hashlib.sha256()
    if path is not None:
        run = read_only(path)
        try:
            for at_s, link, direction, topic, digest, fate in run.execute(_ALL):
                found.update(f"{at_s}\n{link}\n{direction}\n{topic}\n{fate}\n".encode() + digest)
        finally:
            run.close()
    found.update(journal)
    return found.hexdigest()


def _sent(run: Any, wire: Wire) -> Iterator[Sent]:
    for at_s, payload in run.execute(_SENT):
        message = _read(Channel.COMMANDS, payload)
        if not isinstance(message, Commands):
            wire.unreadable += 1
            continue
        for command in message.commands:
            match command:
                case CreditCommand():
                    total = command.credit_total_micros
                    yield Sent(at_s, "CREDIT", command.meter, command.seq, total, None)
                case RelayCommand():
                    position, expires = command.relay.value, command.expires_at_s
                    yield Sent(at_s, "RELAY", command.meter, command.version, position, expires)
                case PolicyCommand():
                    yield Sent(at_s, "POLICY", command.meter, command.version, command.digest, None)
                case Unknown():
                    pass


def _read(channel: Channel, payload: bytes) -> Any:
    try:
        return decode(channel, payload)
    except WireError:
        return None
