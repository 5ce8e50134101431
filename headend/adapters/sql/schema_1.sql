-- The store, version 1. Money in micros, energy in Wh, times in seconds UTC, days as day numbers of the billing
-- zone (date.toordinal). PostgreSQL will be a second store: nothing here but plain tables, checks and partial
-- indexes.

CREATE TABLE gateway (
    gateway_key INTEGER PRIMARY KEY,
    region TEXT NOT NULL,
    gateway TEXT NOT NULL,
    last_heard_s INTEGER,
    UNIQUE (region, gateway)
) STRICT;

CREATE TABLE account (
    account_key INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    credits_micros INTEGER NOT NULL DEFAULT 0 CHECK (credits_micros >= 0),
    debits_micros INTEGER NOT NULL DEFAULT 0 CHECK (debits_micros >= 0)
) STRICT;

-- Append-only. `chain_hash` covers the row and the hash before it: a changed row cannot be hidden.
CREATE TABLE transfer (
    transfer_id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('RECHARGE', 'ENERGY')),
    debit_account INTEGER NOT NULL REFERENCES account,
    credit_account INTEGER NOT NULL REFERENCES account,
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    accepted_at_s INTEGER NOT NULL,
    posted_at_s INTEGER NOT NULL,
    corrects INTEGER REFERENCES transfer,
    chain_hash BLOB NOT NULL,
    CHECK (debit_account <> credit_account)
) STRICT;
CREATE INDEX transfer_debit ON transfer (debit_account);
CREATE INDEX transfer_credit ON transfer (credit_account);

-- What changes seldom. `credit_seq` and `credit_total_micros` are our counter; `applied_` is what the meter
-- acknowledged of it, at `applied_credit_at_s` by the meter's clock.
CREATE TABLE meter (
    meter_key INTEGER PRIMARY KEY,
    meter TEXT NOT NULL UNIQUE,
    gateway_key INTEGER NOT NULL REFERENCES gateway,
    account_key INTEGER NOT NULL UNIQUE REFERENCES account,
    installed_day INTEGER NOT NULL,
    opening_register_wh INTEGER NOT NULL CHECK (opening_register_wh >= 0),
    settled_day INTEGER NOT NULL,
    settled_register_wh INTEGER NOT NULL,
    credit_seq INTEGER NOT NULL DEFAULT 0,
    credit_total_micros INTEGER NOT NULL DEFAULT 0,
    applied_credit_seq INTEGER NOT NULL DEFAULT 0,
    applied_credit_total_micros INTEGER NOT NULL DEFAULT 0,
    applied_credit_at_s INTEGER NOT NULL DEFAULT 0,
    relay_version INTEGER NOT NULL DEFAULT 0,
    applied_relay_version INTEGER NOT NULL DEFAULT 0,
    CHECK (applied_credit_seq <= credit_seq),
    CHECK (applied_relay_version <= relay_version)
) STRICT;
CREATE INDEX meter_gateway ON meter (gateway_key);

-- What changes with every reading, apart so that a frame of 500 rows touches few pages.
CREATE TABLE register (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    reading_seq INTEGER NOT NULL DEFAULT 0,
    register_wh INTEGER NOT NULL,
    read_at_s INTEGER,
    relay_open INTEGER NOT NULL DEFAULT 0
) STRICT;

-- All readings of one commit, as little-endian int64 columns: the load survey as it came in, repetitions
-- included. A reader drops those by (meter_key, seq).
CREATE TABLE segment (
    segment_id INTEGER PRIMARY KEY,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    meter_keys BLOB NOT NULL,
    seqs BLOB NOT NULL,
    at_s BLOB NOT NULL,
    registers_wh BLOB NOT NULL
) STRICT;

CREATE TABLE snapshot (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,
    settled_at_s INTEGER,
    PRIMARY KEY (meter_key, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_unsettled ON snapshot (meter_key, day) WHERE settled_at_s IS NULL;

CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    kind TEXT NOT NULL CHECK (kind IN ('CREDIT', 'RELAY')),
    seq INTEGER NOT NULL CHECK (seq > 0),
    transfer_id INTEGER UNIQUE REFERENCES transfer,
    amount_micros INTEGER,
    credit_total_micros INTEGER,
    relay TEXT CHECK (relay IN ('open', 'closed')),
    reason TEXT,
    expires_at_s INTEGER,
    state TEXT NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'SENT', 'APPLIED', 'REJECTED')),
    ended_reason TEXT,
    queued_at_s INTEGER NOT NULL,
    sent_at_s INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    applied_at_s INTEGER,
    UNIQUE (meter_key, kind, seq),
    CHECK ((kind = 'CREDIT') = (transfer_id IS NOT NULL AND credit_total_micros IS NOT NULL)),
    CHECK ((kind = 'RELAY') = (relay IS NOT NULL)),
    CHECK (relay IS NOT 'open' OR expires_at_s IS NOT NULL),
    CHECK ((state = 'APPLIED') = (applied_at_s IS NOT NULL)),
    CHECK ((state = 'REJECTED') = (ended_reason IS NOT NULL)),
    CHECK (kind <> 'CREDIT' OR state <> 'REJECTED')
) STRICT;
CREATE INDEX delivery_unsent_relay ON delivery (expires_at_s)
    WHERE kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0;
CREATE INDEX delivery_open ON delivery (meter_key, kind, seq) WHERE state IN ('QUEUED', 'SENT');

CREATE TABLE exception (
    exception_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    meter_key INTEGER NOT NULL REFERENCES meter,
    detail TEXT NOT NULL,
    first_at_s INTEGER NOT NULL,
    last_at_s INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    resolved_at_s INTEGER,
    resolved_by TEXT,
    resolution TEXT
) STRICT;
CREATE UNIQUE INDEX exception_open ON exception (meter_key, kind) WHERE resolved_at_s IS NULL;

-- What could not be read or used, with its bytes. The same bytes again only raise the count.
CREATE TABLE dead_letter (
    dead_letter_id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_at_s INTEGER NOT NULL,
    last_at_s INTEGER NOT NULL,
    count INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE TABLE outage (
    outage_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('HEADEND', 'BROKER_LINK', 'GATEWAY')),
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    began_at_s INTEGER NOT NULL,
    ended_at_s INTEGER
) STRICT;
CREATE UNIQUE INDEX outage_open ON outage (kind, subject) WHERE ended_at_s IS NULL;

-- The last sign of life of `headend serve`, and whether it stopped in good order.
CREATE TABLE heartbeat (
    heartbeat_id INTEGER PRIMARY KEY CHECK (heartbeat_id = 1),
    at_s INTEGER NOT NULL,
    stopped INTEGER NOT NULL
) STRICT;

INSERT INTO account (account_key, code) VALUES (1, 'recharges'), (2, 'energy');
