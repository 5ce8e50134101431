"""The form of the meters' log: its tables and its rows. Knows no file.

Schema, version 2 (read as data by `headend audit --fleet-log`; times are seconds UTC, virtual):

    fleet     one row: schema_version, seed, region, zone, interval_s, start_s, first_number, meters,
              meters_per_gateway, meter_prefix, gateway_prefix, clock_error_s, clock (a TimeScale spec)
    meter     meter_key (the meter's number), meter and gateway (ids), opening_register_wh (at start_s),
              clock_error_s (how far its own clock is ahead; below 0: behind)
    policy    policy_key, version, digest, issued_at_s, valid_until_s, clock_tolerance_s, protected: a JSON
              list of [from, to), ascending. One row for each document that any meter took
    event     event_id, at_s (true time), meter_key, kind, number, credit_total_micros, relay, policy_key,
              code, register_wh, undrawn_wh
                'credit'   number: credit sequence now applied; credit_total_micros: the counter now
                'relay'    number: relay version now applied; relay: 'open' or 'closed', the position now
                'policy'   number: policy version now in force; policy_key: its document
                'refused'  number: sequence or version of the command; code: why; credit_total_micros (of a
                           credit command) or relay (of a relay command): what was asked for; of a policy
                           command neither
              A command that changes nothing and is not refused leaves no row. A meter without a 'credit' row
              has counter (0, 0); without a 'relay' row it has version 0 and is closed; without a 'policy' row
              it never had one. register_wh is the register at that moment; undrawn_wh what the home could not
              draw up to its last reconnection.
    frame     gateway, frame, kind ('hello', 'interval', 'snapshot'), at_s, seq, first_meter_key, rows,
              registers_wh, relays_open. Row i of a frame is meter first_meter_key + i. All meters of a fleet
              take their readings together, so `seq` is the reading sequence number of every row (in a hello:
              of the newest reading). registers_wh: `rows` little-endian signed 64-bit integers. relays_open:
              NULL, or the rows i with an open relay, likewise.
    receipt   gateway, frame, outcome ('accepted' or 'refused'), code, refused_rows, at_s
    newest_reading (view)  for each first_meter_key: the newest reading frame (gateway, rows, seq, at_s,
              registers_wh)
"""

from dataclasses import dataclass
from typing import Final

from meter_sim.load import Integers
from meter_sim.policy import Policy

SCHEMA_VERSION: Final = 2
HELLO: Final = "hello"

TABLES: Final = """
CREATE TABLE fleet (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL,
    meters INTEGER NOT NULL, meters_per_gateway INTEGER NOT NULL, region TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    seed INTEGER NOT NULL, interval_s INTEGER NOT NULL, zone TEXT NOT NULL, first_number INTEGER NOT NULL,
    meter_prefix TEXT NOT NULL, gateway_prefix TEXT NOT NULL,
    clock_error_s INTEGER NOT NULL, clock TEXT NOT NULL
);
CREATE TABLE meter (
    meter_key INTEGER PRIMARY KEY, meter TEXT NOT NULL UNIQUE, gateway TEXT NOT NULL,
    opening_register_wh INTEGER NOT NULL, clock_error_s INTEGER NOT NULL
);
CREATE TABLE policy (
    policy_key INTEGER PRIMARY KEY, version INTEGER NOT NULL, digest TEXT NOT NULL,
    issued_at_s INTEGER NOT NULL, valid_until_s INTEGER NOT NULL, clock_tolerance_s INTEGER NOT NULL,
    protected TEXT NOT NULL, UNIQUE (version, digest)
);
CREATE TABLE event (
    event_id INTEGER PRIMARY KEY, at_s INTEGER NOT NULL, meter_key INTEGER NOT NULL REFERENCES meter,
    kind TEXT NOT NULL CHECK (kind IN ('credit', 'relay', 'policy', 'refused')),
    number INTEGER NOT NULL, credit_total_micros INTEGER, relay TEXT CHECK (relay IN ('open', 'closed')),
    policy_key INTEGER REFERENCES policy, code TEXT,
    register_wh INTEGER NOT NULL, undrawn_wh INTEGER NOT NULL,
    CHECK ((code IS NOT NULL) = (kind = 'refused')),
    CHECK (credit_total_micros IS NULL OR relay IS NULL),
    CHECK (kind <> 'credit' OR credit_total_micros IS NOT NULL),
    CHECK (kind <> 'relay' OR relay IS NOT NULL),
    CHECK ((policy_key IS NOT NULL) = (kind = 'policy'))
);
CREATE INDEX event_by_meter ON event (meter_key, event_id);
CREATE TABLE frame (
    gateway TEXT NOT NULL, frame INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('hello', 'interval', 'snapshot')),
    at_s INTEGER NOT NULL, seq INTEGER NOT NULL, first_meter_key INTEGER NOT NULL, rows INTEGER NOT NULL,
    registers_wh BLOB NOT NULL CHECK (length(registers_wh) = 8 * rows), relays_open BLOB,
    UNIQUE (gateway, frame)
);
CREATE TABLE receipt (
    gateway TEXT NOT NULL, frame INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('accepted', 'refused')),
    code TEXT, refused_rows INTEGER NOT NULL, at_s INTEGER NOT NULL,
    PRIMARY KEY (gateway, frame)
) WITHOUT ROWID;
CREATE VIEW newest_reading AS
    SELECT gateway, first_meter_key, rows, max(seq) AS seq, at_s, registers_wh
    FROM frame WHERE kind <> 'hello' GROUP BY first_meter_key;
"""

APPEND_ONLY: Final = """
CREATE TRIGGER {table}_keeps_rows BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, 'the log of the meters is append-only'); END;
CREATE TRIGGER {table}_keeps_values BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, 'the log of the meters is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of `event`; `policy` stands for its `policy_key`."""

    at_s: int
    meter_key: int
    kind: str
    number: int
    credit_total_micros: int | None
    relay: str | None
    policy: Policy | None
    code: str | None
    register_wh: int
    undrawn_wh: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A row of `frame`."""

    gateway: str
    frame: int
    kind: str
    at_s: int
    seq: int
    first_meter_key: int
    registers_wh: Integers
    open_rows: Integers


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A row of `receipt`."""

    gateway: str
    frame: int
    outcome: str
    code: str | None
    refused_rows: int
    at_s: int
