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
-- `account_from_day`: since when the account is the meter's: the day after the consumer before moved out.
-- `register_offset_wh`: added to what the device reports; it changes with an exchange or a rollover.
ALTER TABLE meter ADD COLUMN category TEXT;
ALTER TABLE meter ADD COLUMN load_w INTEGER NOT NULL DEFAULT 1000 CHECK (load_w > 0);
ALTER TABLE meter ADD COLUMN feeder TEXT NOT NULL DEFAULT '';
ALTER TABLE meter ADD COLUMN month_wh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN account_from_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN has_terms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN register_offset_wh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN policy_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meter ADD COLUMN applied_policy_version INTEGER NOT NULL DEFAULT 0;

-- The meter's own word that an exception is about: its number or version, its credit total, when by its clock.
ALTER TABLE exception ADD COLUMN said_number INTEGER;
ALTER TABLE exception ADD COLUMN said_total_micros INTEGER;
ALTER TABLE exception ADD COLUMN said_at_s INTEGER;

-- Numbers and versions that a store gave out which was lost: an older copy of it serves since. What they stood for
-- only the meters know; they are never given again. `said_number` is the meter's own, with its credit total, by its clock.
CREATE TABLE lost_numbers (
    meter_key INTEGER NOT NULL REFERENCES meter,
    kind TEXT NOT NULL CHECK (kind IN ('CREDIT', 'RELAY', 'POLICY')),
    from_number INTEGER NOT NULL CHECK (from_number > 0),
    to_number INTEGER NOT NULL,
    said_number INTEGER NOT NULL,
    said_total_micros INTEGER,
    said_at_s INTEGER NOT NULL,
    PRIMARY KEY (meter_key, kind, from_number),
    CHECK (to_number >= from_number),
    CHECK (said_number BETWEEN from_number AND to_number),
    CHECK ((kind = 'CREDIT') = (said_total_micros IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- How often the day was billed: each time but the last was reversed.
ALTER TABLE snapshot ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

INSERT INTO account (code) VALUES
    ('charges'), ('fixed'), ('duty'), ('rebates'), ('rounding'), ('refunds');

-- Devices that were exchanged: late snapshots of theirs still count up to `exchanged_at_s`, with their own offset.
-- What `segment` holds of the meter up to `after_segment` is the device's, and those before it.
CREATE TABLE former_device (
    device TEXT PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    register_offset_wh INTEGER NOT NULL,
    final_register_wh INTEGER NOT NULL,
    exchanged_at_s INTEGER NOT NULL,
    after_segment INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX former_device_meter ON former_device (meter_key);
-- Every id that a meter has or had.
CREATE VIEW meter_device AS
    SELECT meter_key, meter AS device FROM meter UNION ALL SELECT meter_key, device FROM former_device;

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

-- The meter whose consumer an account is or was; NULL: an account of our own.
ALTER TABLE account ADD COLUMN meter_key INTEGER REFERENCES meter;
UPDATE account SET meter_key = (SELECT m.meter_key FROM meter AS m WHERE m.account_key = account.account_key);
CREATE INDEX account_of_meter ON account (meter_key) WHERE meter_key IS NOT NULL;
CREATE VIEW meter_account AS SELECT meter_key, account_key FROM account WHERE meter_key IS NOT NULL;

-- The bill of one meter and day. `transfer_id` NULL: it came to nothing. A day billed anew has a higher revision.
CREATE TABLE charge (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    revision INTEGER NOT NULL,
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
    reversed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (meter_key, day, revision),
    CHECK (total_micros = energy_micros + fixed_micros + duty_micros - rebate_micros + rounding_micros),
    CHECK ((total_micros > 0) = (transfer_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE VIEW bill AS
SELECT m.meter, c.day, c.revision, c.tariff_key, c.category, c.load_w, c.month_wh, c.energy_wh, c.energy_micros,
       c.fixed_micros, c.duty_micros, c.rebate_micros, c.rounding_micros, c.total_micros, c.transfer_id, c.reversed
    FROM charge AS c JOIN meter AS m USING (meter_key);

-- Registers at the boundaries of time-of-day bands; `minute` is the local minute of the day.
CREATE TABLE band_register (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,
    PRIMARY KEY (meter_key, day, minute)
) STRICT, WITHOUT ROWID;

-- A meter's credit as last looked at. Nothing can be crossed before the register reaches `trip_wh`; a recharge or
-- a settlement sets it to 0. `levels` counts the alert levels that the balance is at or below; `credits_micros` is
-- what the account had been credited in all when that was looked at. `zero_since_s`, `exhausted_since_s`: the time
-- of the reading that first showed no credit left, and no emergency credit either; NULL: there is some.
CREATE TABLE standing (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    trip_wh INTEGER NOT NULL DEFAULT 0,
    balance_micros INTEGER NOT NULL DEFAULT 0,
    as_of_s INTEGER,
    credits_micros INTEGER NOT NULL DEFAULT 0,
    levels INTEGER NOT NULL DEFAULT 0,
    zero_since_s INTEGER,
    exhausted_since_s INTEGER,
    last_recharge_micros INTEGER NOT NULL DEFAULT 0,
    cut_announced_s INTEGER
) STRICT;
CREATE INDEX standing_at_zero ON standing (zero_since_s) WHERE zero_since_s IS NOT NULL;
INSERT INTO standing (meter_key) SELECT meter_key FROM meter;

-- What consumers are told. `meter_key` NULL: everybody of the region; `region` NULL: everybody.
CREATE TABLE notice (
    notice_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    meter_key INTEGER REFERENCES meter,
    region TEXT,
    at_s INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX notice_meter ON notice (meter_key);

-- Where notices go, and up to which one each sink has taken them up.
CREATE TABLE notice_sink (
    sink TEXT PRIMARY KEY,
    taken_up_to INTEGER NOT NULL
) STRICT;

-- What became of each notice that a sink has taken up.
CREATE TABLE notice_delivery (
    notice_id INTEGER NOT NULL REFERENCES notice,
    sink TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('WAITING', 'DELIVERED', 'FAILED')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at_s INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    ended_at_s INTEGER,
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

-- Meters in debt: when each is looked at next for a cut, and why it was not cut the last time. `no_cut_before_s`: a
-- promise, as after a part payment.
CREATE TABLE debtor (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    look_at_s INTEGER NOT NULL DEFAULT 0,
    refused_for TEXT,
    no_cut_before_s INTEGER
) STRICT;
CREATE INDEX debtor_look ON debtor (look_at_s);

-- Every wish to open a relay, with what became of it and what that was based on.
CREATE TABLE disconnection (
    disconnection_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    requested_at_s INTEGER NOT NULL,
    requested_by TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('DEBT', 'ORDER')),
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ISSUED', 'REFUSED', 'QUARANTINED', 'RELEASED', 'DROPPED')),
    refused_for TEXT,
    basis TEXT NOT NULL,
    decided_at_s INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    relay_version INTEGER,
    reconnected_at_s INTEGER,
    CHECK ((state = 'ISSUED') = (relay_version IS NOT NULL)),
    CHECK ((state IN ('REFUSED', 'QUARANTINED')) <= (refused_for IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX disconnection_waiting ON disconnection (meter_key) WHERE state IN ('QUARANTINED', 'RELEASED');
CREATE INDEX disconnection_queue ON disconnection (state, disconnection_id) WHERE state IN ('QUARANTINED', 'RELEASED');
CREATE INDEX disconnection_issued ON disconnection (decided_at_s) WHERE state = 'ISSUED';
CREATE INDEX disconnection_meter ON disconnection (meter_key);
-- Homes that the rules have to give their supply back.
CREATE INDEX disconnection_lasting ON disconnection (meter_key) WHERE state = 'ISSUED' AND reconnected_at_s IS NULL;

-- Where a region's recovery from an outage stands. `first_left`: what was left to do as the phase began.
-- `looked_until_s`: outages that had ended by then have had their effect. `arrears_key`: the last meter that was
-- looked at for a plan after the outage; NULL: all were.
CREATE TABLE region (
    region TEXT PRIMARY KEY,
    phase TEXT NOT NULL DEFAULT 'NORMAL' CHECK (phase IN (
        'NORMAL', 'OUTAGE', 'CREDITS', 'RECONNECTIONS', 'SNAPSHOTS', 'SETTLEMENT', 'DISPLAY', 'GRACE'
    )),
    since_s INTEGER NOT NULL DEFAULT 0,
    outage_began_s INTEGER,
    outage_ended_s INTEGER,
    grace_until_s INTEGER,
    first_left INTEGER NOT NULL DEFAULT 0,
    looked_until_s INTEGER NOT NULL DEFAULT 0,
    arrears_key INTEGER,
    CHECK (phase <> 'OUTAGE' OR outage_ended_s IS NULL),
    CHECK (phase IN ('NORMAL', 'OUTAGE') OR outage_ended_s IS NOT NULL),
    CHECK (phase <> 'GRACE' OR grace_until_s IS NOT NULL)
) STRICT;
-- What was over at the last sign of life needs no recovery any more.
INSERT INTO region (region, looked_until_s)
SELECT DISTINCT region, coalesce((SELECT at_s FROM heartbeat), 0) FROM gateway;
-- Meters that hold up no recovery: a person is looking at them. What is wrong about money is no excuse.
CREATE VIEW excused_meter AS
    SELECT meter_key FROM exception
    WHERE resolved_at_s IS NULL AND kind NOT IN ('ARREARS_NEED_PLAN', 'PLAN_BROKEN');
CREATE INDEX outage_ended ON outage (ended_at_s) WHERE ended_at_s IS NOT NULL;

-- Arrears in parts: the debt of `debtor_key`'s account stands on an account of its own and comes back from there, by
-- equal daily instalments or by a share of each recharge. `missed`: days in a row at whose end the debtor was in
-- debt anew; `next_day`: the first day for which that was not looked at yet.
CREATE TABLE plan (
    plan_id INTEGER PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    debtor_key INTEGER NOT NULL REFERENCES account,
    account_key INTEGER NOT NULL UNIQUE REFERENCES account,
    debt_micros INTEGER NOT NULL CHECK (debt_micros > 0),
    instalment_micros INTEGER CHECK (instalment_micros > 0),
    share_bp INTEGER CHECK (share_bp BETWEEN 1 AND 10000),
    recovered_micros INTEGER NOT NULL DEFAULT 0 CHECK (recovered_micros BETWEEN 0 AND debt_micros),
    from_day INTEGER NOT NULL,
    next_day INTEGER NOT NULL,
    missed INTEGER NOT NULL DEFAULT 0,
    missed_allowed INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'PAID', 'CANCELLED', 'EXPIRED')),
    ended_at_s INTEGER,
    CHECK ((instalment_micros IS NULL) <> (share_bp IS NULL)),
    CHECK ((state = 'PAID') = (recovered_micros = debt_micros)),
    CHECK ((state = 'ACTIVE') = (ended_at_s IS NULL))
) STRICT;
CREATE UNIQUE INDEX plan_active ON plan (meter_key) WHERE state = 'ACTIVE';
CREATE INDEX plan_meter ON plan (meter_key);

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
