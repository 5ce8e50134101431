-- The store, version 2: tariffs, billing terms, charges with their lines; standings and notices; protection;
-- recovery and arrears; policies; the audit log. Units as in version 1; amounts `..._micros`, days as day numbers.

-- Rebuilt for new kinds of transfer. ENERGY is what version 1 charged a day by: energy only.
CREATE TABLE transfer_2 (
    transfer_id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN (
        'RECHARGE', 'ENERGY', 'CHARGE', 'SPLIT', 'REVERSAL', 'ARREARS', 'INSTALMENT', 'REFUND'
    )),
    debit_account INTEGER NOT NULL REFERENCES account,
    credit_account INTEGER NOT NULL REFERENCES account,
    amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
    accepted_at_s INTEGER NOT NULL,
    posted_at_s INTEGER NOT NULL,
    corrects INTEGER UNIQUE REFERENCES transfer,
    chain_hash BLOB NOT NULL,
    CHECK (debit_account <> credit_account),
    CHECK ((kind = 'REVERSAL') = (corrects IS NOT NULL))
) STRICT;
INSERT INTO transfer_2 SELECT * FROM transfer;
DROP TABLE transfer;
ALTER TABLE transfer_2 RENAME TO transfer;
CREATE INDEX transfer_debit ON transfer (debit_account);
CREATE INDEX transfer_credit ON transfer (credit_account);

-- Rebuilt for policies, which are delivered as relay positions are.
CREATE TABLE delivery_2 (
    delivery_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    kind TEXT NOT NULL CHECK (kind IN ('CREDIT', 'RELAY', 'POLICY')),
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
INSERT INTO delivery_2 SELECT * FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_2 RENAME TO delivery;
CREATE INDEX delivery_unsent_relay ON delivery (expires_at_s)
    WHERE kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0;
CREATE INDEX delivery_open ON delivery (meter_key, kind, seq) WHERE state IN ('QUEUED', 'SENT');

-- `category` NULL: the tariff's default. `month_wh`: drawn in the month of `settled_day` up to its end. `has_terms`:
-- there are rows in `terms`, which then go before the meter's own account, category and load.
-- `register_offset_wh`: added to what the device reports; it changes with an exchange or a rollover.
ALTER TABLE meter ADD COLUMN category TEXT;
ALTER TABLE meter ADD COLUMN load_w INTEGER NOT NULL DEFAULT 1000 CHECK (load_w > 0);
ALTER TABLE meter ADD COLUMN feeder TEXT NOT NULL DEFAULT '';
ALTER TABLE meter ADD COLUMN month_wh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN has_terms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN register_offset_wh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN policy_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN applied_policy_version INTEGER NOT NULL DEFAULT 0;

INSERT INTO account (code) VALUES
    ('charges'), ('fixed'), ('duty'), ('rebates'), ('rounding'), ('refunds');

-- Dated versions of the one tariff. Immutable once a day was charged by it (`used_at_s`).
CREATE TABLE tariff (
    tariff_key INTEGER PRIMARY KEY,
    from_day INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    imported_at_s INTEGER NOT NULL,
    imported_by TEXT NOT NULL,
    used_at_s INTEGER,
    UNIQUE (name, version)
) STRICT;

-- What a meter is billed by from a day on, for meters whose terms ever changed; the first row is the beginning.
CREATE TABLE terms (
    meter_key INTEGER NOT NULL REFERENCES meter,
    from_day INTEGER NOT NULL,
    account_key INTEGER NOT NULL REFERENCES account,
    category TEXT,
    load_w INTEGER NOT NULL CHECK (load_w > 0),
    PRIMARY KEY (meter_key, from_day)
) STRICT, WITHOUT ROWID;

-- The bill of one meter and day. `transfer_id` NULL: it came to nothing.
CREATE TABLE charge (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    tariff_key INTEGER NOT NULL REFERENCES tariff,
    category TEXT NOT NULL,
    load_w INTEGER NOT NULL,
    month_wh INTEGER NOT NULL,
    energy_wh INTEGER NOT NULL CHECK (energy_wh >= 0),
    energy_micros INTEGER NOT NULL,
    fixed_micros INTEGER NOT NULL,
    duty_micros INTEGER NOT NULL,
    rebate_micros INTEGER NOT NULL,
    rounding_micros INTEGER NOT NULL,
    total_micros INTEGER NOT NULL,
    transfer_id INTEGER REFERENCES transfer,
    PRIMARY KEY (meter_key, day),
    CHECK (total_micros = energy_micros + fixed_micros + duty_micros - rebate_micros + rounding_micros),
    CHECK ((total_micros > 0) = (transfer_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Registers at the boundaries of time-of-day bands; `minute` is the local minute of the day.
CREATE TABLE band_register (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,
    PRIMARY KEY (meter_key, day, minute)
) STRICT, WITHOUT ROWID;

-- A meter's credit as last looked at. Nothing can be crossed before the register reaches `trip_wh`; a recharge or
-- a settlement sets it to 0. `levels` counts the alert levels that the balance is at or below. `zero_since_s`:
-- when the balance was first seen at zero or below; NULL: in credit.
CREATE TABLE standing (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    trip_wh INTEGER NOT NULL DEFAULT 0,
    balance_micros INTEGER NOT NULL DEFAULT 0,
    as_of_s INTEGER,
    levels INTEGER NOT NULL DEFAULT 0,
    zero_since_s INTEGER,
    last_recharge_micros INTEGER NOT NULL DEFAULT 0,
    cut_announced_s INTEGER
) STRICT;
CREATE INDEX standing_at_zero ON standing (zero_since_s) WHERE zero_since_s IS NOT NULL;
INSERT INTO standing (meter_key) SELECT meter_key FROM meter;

-- What consumers are told. `meter_key` NULL: everybody of the region.
CREATE TABLE notice (
    notice_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    meter_key INTEGER REFERENCES meter,
    region TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX notice_meter ON notice (meter_key);

-- How far each sink has come with each notice.
CREATE TABLE notice_delivery (
    notice_id INTEGER NOT NULL REFERENCES notice,
    sink TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('WAITING', 'DELIVERED', 'FAILED')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at_s INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (notice_id, sink)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_delivery_waiting ON notice_delivery (sink, next_at_s) WHERE state = 'WAITING';

CREATE TABLE moratorium (
    moratorium_id INTEGER PRIMARY KEY,
    region TEXT,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL CHECK (to_s > from_s),
    reason TEXT NOT NULL,
    declared_by TEXT NOT NULL,
    declared_at_s INTEGER NOT NULL,
    ended_at_s INTEGER,
    ended_by TEXT
) STRICT;

-- Every wish to open a relay, with what became of it and what that was based on.
CREATE TABLE disconnection (
    disconnection_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    requested_at_s INTEGER NOT NULL,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ISSUED', 'REFUSED', 'QUARANTINED', 'RELEASED', 'DROPPED')),
    refused_for TEXT,
    basis TEXT NOT NULL,
    decided_at_s INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    relay_version INTEGER,
    CHECK ((state = 'ISSUED') = (relay_version IS NOT NULL)),
    CHECK ((state IN ('REFUSED', 'QUARANTINED')) <= (refused_for IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX disconnection_waiting ON disconnection (meter_key) WHERE state IN ('QUARANTINED', 'RELEASED');
CREATE INDEX disconnection_issued ON disconnection (decided_at_s) WHERE state = 'ISSUED';
CREATE INDEX disconnection_meter ON disconnection (meter_key);

-- Where a region's recovery from an outage stands.
CREATE TABLE region (
    region TEXT PRIMARY KEY,
    phase TEXT NOT NULL DEFAULT 'NORMAL',
    since_s INTEGER NOT NULL DEFAULT 0,
    outage_began_s INTEGER,
    outage_ended_s INTEGER,
    grace_until_s INTEGER
) STRICT;
INSERT INTO region (region) SELECT DISTINCT region FROM gateway;

-- Arrears in instalments: the debt stands on an account of its own and comes back from there.
CREATE TABLE plan (
    plan_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    account_key INTEGER NOT NULL REFERENCES account,
    debt_micros INTEGER NOT NULL CHECK (debt_micros > 0),
    instalment_micros INTEGER,
    share_bp INTEGER CHECK (share_bp BETWEEN 1 AND 10000),
    recovered_micros INTEGER NOT NULL DEFAULT 0,
    from_day INTEGER NOT NULL,
    missed INTEGER NOT NULL DEFAULT 0,
    made_by TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'PAID', 'CANCELLED', 'EXPIRED')),
    ended_at_s INTEGER,
    CHECK ((instalment_micros IS NULL) <> (share_bp IS NULL)),
    CHECK (recovered_micros <= debt_micros)
) STRICT;
CREATE UNIQUE INDEX plan_active ON plan (meter_key) WHERE state = 'ACTIVE';

-- Protection rules as sent to a region's meters.
CREATE TABLE policy (
    region TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    valid_until_s INTEGER NOT NULL,
    issued_at_s INTEGER NOT NULL,
    PRIMARY KEY (region, version)
) STRICT;

-- The audit log: who did what to whom, when, why, and on what basis. Append-only, chained as the ledger is.
CREATE TABLE act (
    act_id INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    basis TEXT NOT NULL,
    chain_hash BLOB NOT NULL
) STRICT;
CREATE INDEX act_subject ON act (subject);
