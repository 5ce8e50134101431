-- A store of schema 2: that of schema 1 brought up to date, with a tariff, a moratorium, an act, a policy, a notice.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'headend','m001_first_schema','2026-11-23 06:40:49.571058+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'headend','m002_prepaid_rules','2026-11-23 11:02:11.575461+00:00');
CREATE TABLE account (
    account_key INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    credits_micros INTEGER NOT NULL DEFAULT 0 CHECK (credits_micros >= 0),
    debits_micros INTEGER NOT NULL DEFAULT 0 CHECK (debits_micros >= 0)
, meter_key INTEGER REFERENCES meter) STRICT;
INSERT INTO "account" VALUES(1,'recharges',0,75000000,NULL);
INSERT INTO "account" VALUES(2,'energy',10300000,0,NULL);
INSERT INTO "account" VALUES(3,'consumer/M1',75000000,10300000,1);
INSERT INTO "account" VALUES(4,'consumer/M2',0,0,2);
INSERT INTO "account" VALUES(5,'charges',0,0,NULL);
INSERT INTO "account" VALUES(6,'fixed',0,0,NULL);
INSERT INTO "account" VALUES(7,'duty',0,0,NULL);
INSERT INTO "account" VALUES(8,'rebates',0,0,NULL);
INSERT INTO "account" VALUES(9,'rounding',0,0,NULL);
INSERT INTO "account" VALUES(10,'refunds',0,0,NULL);
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
INSERT INTO "act" VALUES(1,1730226600,'test','MORATORIUM_DECLARED','regions','festival','{"moratorium":1}',X'C35AD342D9B953C27AD237A56C08C85894559CBCD1A3FC27F03A48EADC74073E');
CREATE TABLE band_register (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,
    PRIMARY KEY (meter_key, day, minute)
) STRICT, WITHOUT ROWID;
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
INSERT INTO "dead_letter" VALUES(1,X'D020D89E70DE45488331E8319448420C','ami/v1/R1/G1/up/readings',X'0072756262697368','BAD_JSON','expected value',1730227601,1730227601,1);
CREATE TABLE debtor (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    look_at_s INTEGER NOT NULL DEFAULT 0,
    refused_for TEXT,
    no_cut_before_s INTEGER
) STRICT;
CREATE TABLE "delivery" (
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
INSERT INTO "delivery" VALUES(1,1,'CREDIT',1,1,25000000,25000000,NULL,NULL,NULL,'APPLIED',NULL,1730217600,1730217601,1,1730217602);
INSERT INTO "delivery" VALUES(2,1,'CREDIT',2,2,50000000,75000000,NULL,NULL,NULL,'SENT',NULL,1730226500,1730226501,1,NULL);
INSERT INTO "delivery" VALUES(3,1,'RELAY',1,NULL,NULL,NULL,'closed','test',NULL,'APPLIED',NULL,1730226550,1730226551,1,1730226552);
INSERT INTO "delivery" VALUES(4,2,'RELAY',1,NULL,NULL,NULL,'open','test',1730230200,'QUEUED',NULL,1730226600,NULL,0,NULL);
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
, said_number INTEGER, said_total_micros INTEGER, said_at_s INTEGER) STRICT;
INSERT INTO "exception" VALUES(1,'SNAPSHOT_DIFFERS',1,'day closed at 3500 Wh before, now 3600 Wh came',1730227600,1730227600,1,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE former_device (
    device TEXT PRIMARY KEY,
    meter_key INTEGER NOT NULL REFERENCES meter,
    register_offset_wh INTEGER NOT NULL,
    final_register_wh INTEGER NOT NULL,
    exchanged_at_s INTEGER NOT NULL,
    after_segment INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE gateway (
    gateway_key INTEGER PRIMARY KEY,
    region TEXT NOT NULL,
    gateway TEXT NOT NULL,
    last_heard_s INTEGER,
    UNIQUE (region, gateway)
) STRICT;
INSERT INTO "gateway" VALUES(1,'R1','G1',1730227600);
INSERT INTO "gateway" VALUES(2,'R1','G2',NULL);
CREATE TABLE heartbeat (
    heartbeat_id INTEGER PRIMARY KEY CHECK (heartbeat_id = 1),
    at_s INTEGER NOT NULL,
    stopped INTEGER NOT NULL
) STRICT;
INSERT INTO "heartbeat" VALUES(1,1730227602,1);
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
    applied_relay_version INTEGER NOT NULL DEFAULT 0, category TEXT, load_w INTEGER NOT NULL DEFAULT 1000 CHECK (load_w > 0), feeder TEXT NOT NULL DEFAULT '', month_wh INTEGER NOT NULL DEFAULT 0, account_from_day INTEGER NOT NULL DEFAULT 0, has_terms INTEGER NOT NULL DEFAULT 0, register_offset_wh INTEGER NOT NULL DEFAULT 0, policy_version INTEGER NOT NULL DEFAULT 0, applied_policy_version INTEGER NOT NULL DEFAULT 0,
    CHECK (applied_credit_seq <= credit_seq),
    CHECK (applied_relay_version <= relay_version)
) STRICT;
INSERT INTO "meter" VALUES(1,'M1',1,3,739188,1000,739188,3500,2,75000000,1,25000000,1730217602,1,1,NULL,1000,'',0,0,0,0,0,0);
INSERT INTO "meter" VALUES(2,'M2',2,4,739188,0,739187,0,0,0,0,0,0,1,0,NULL,1000,'',0,0,0,0,0,0);
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
INSERT INTO "moratorium" VALUES(1,NULL,1730226600,1730312999,'festival','test',1730226600,NULL,NULL);
CREATE TABLE notice (
    notice_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    meter_key INTEGER REFERENCES meter,
    region TEXT,
    at_s INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
INSERT INTO "notice" VALUES(1,'ZERO_BALANCE',1,'R1',1730226600,'{"balance_micros": 0}');
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
CREATE TABLE notice_sink (
    sink TEXT PRIMARY KEY,
    taken_up_to INTEGER NOT NULL
) STRICT;
CREATE TABLE outage (
    outage_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('HEADEND', 'BROKER_LINK', 'GATEWAY')),
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    began_at_s INTEGER NOT NULL,
    ended_at_s INTEGER
) STRICT;
INSERT INTO "outage" VALUES(1,'GATEWAY','R1/G2','nothing came',1730226600,NULL);
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
CREATE TABLE policy (
    region TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    valid_until_s INTEGER NOT NULL,
    issued_at_s INTEGER NOT NULL,
    PRIMARY KEY (region, version)
) STRICT;
INSERT INTO "policy" VALUES('R1',1,'[1730226600, 1735410600, 300, [[1730226600, 1730313000]]]',1735410600,1730226600);
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
INSERT INTO "region" VALUES('R1','NORMAL',0,NULL,NULL,NULL,0,1730227602,NULL);
CREATE TABLE register (
    meter_key INTEGER PRIMARY KEY REFERENCES meter,
    reading_seq INTEGER NOT NULL DEFAULT 0,
    register_wh INTEGER NOT NULL,
    read_at_s INTEGER,
    relay_open INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "register" VALUES(1,2,3900,1730227500,0);
INSERT INTO "register" VALUES(2,0,0,NULL,0);
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
INSERT INTO "segment" VALUES(1,1730226600,1730227500,2,X'01000000000000000100000000000000',X'01000000000000000200000000000000',X'A8292167000000002C2D216700000000',X'AC0D0000000000003C0F000000000000');
CREATE TABLE snapshot (
    meter_key INTEGER NOT NULL REFERENCES meter,
    day INTEGER NOT NULL,
    register_wh INTEGER NOT NULL,
    settled_at_s INTEGER, revision INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (meter_key, day)
) STRICT, WITHOUT ROWID;
INSERT INTO "snapshot" VALUES(1,739188,3500,1730227501,1);
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
INSERT INTO "standing" VALUES(1,0,0,NULL,0,0,NULL,NULL,0,NULL);
INSERT INTO "standing" VALUES(2,0,0,NULL,0,0,NULL,NULL,0,NULL);
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
INSERT INTO "tariff" VALUES(1,739000,'plain',1,'{"name":"plain","version":1,"from_day":"2024-04-24","rounding":"HALF_EVEN","rounding_unit":"0.000001","default_category":"domestic","categories":{"domestic":{"slabs":[{"from_kwh":"0","price":"4.12"}],"free_kwh_per_month":"0","fixed_per_day":"0","fixed_per_kw_month":"0","duty_percent":"0","duty_on":"ENERGY","rebate_percent":"0","bands":[]}}}',1730226600,'test',NULL);
CREATE TABLE terms (
    meter_key INTEGER NOT NULL REFERENCES meter,
    from_day INTEGER NOT NULL,
    account_key INTEGER NOT NULL REFERENCES account,
    category TEXT,
    load_w INTEGER NOT NULL CHECK (load_w > 0),
    PRIMARY KEY (meter_key, from_day)
) STRICT, WITHOUT ROWID;
CREATE TABLE "transfer" (
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
INSERT INTO "transfer" VALUES(1,'PAY-1','RECHARGE',1,3,25000000,1730217600,1730217600,NULL,X'D2D0D5D4A5DF249F2047E054197C57BF2006DDB79D341DB5EB2ED0EBF8FCFE00');
INSERT INTO "transfer" VALUES(2,'PAY-2','RECHARGE',1,3,50000000,1730226500,1730226500,NULL,X'2FAE5BD278CAF1BA83DCE4FA2F9B9959C94800C204BAEAF47925C3B1F4F1AA0D');
INSERT INTO "transfer" VALUES(3,'energy/M1/2024-10-29','ENERGY',3,2,10300000,1730227501,1730227501,NULL,X'8F10D3D20389B4FE8AC03606D178EA4F8D55BE6EC4553F47D96FE165F31D4DD8');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX meter_gateway ON meter (gateway_key);
CREATE INDEX snapshot_unsettled ON snapshot (meter_key, day) WHERE settled_at_s IS NULL;
CREATE UNIQUE INDEX exception_open ON exception (meter_key, kind) WHERE resolved_at_s IS NULL;
CREATE UNIQUE INDEX outage_open ON outage (kind, subject) WHERE ended_at_s IS NULL;
CREATE INDEX transfer_debit ON transfer (debit_account);
CREATE INDEX transfer_credit ON transfer (credit_account);
CREATE INDEX delivery_unsent_relay ON delivery (expires_at_s)
    WHERE kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0;
CREATE INDEX delivery_open ON delivery (meter_key, kind, seq) WHERE state IN ('QUEUED', 'SENT');
CREATE INDEX former_device_meter ON former_device (meter_key);
CREATE VIEW meter_device AS
    SELECT meter_key, meter AS device FROM meter UNION ALL SELECT meter_key, device FROM former_device;
CREATE INDEX account_of_meter ON account (meter_key) WHERE meter_key IS NOT NULL;
CREATE VIEW meter_account AS SELECT meter_key, account_key FROM account WHERE meter_key IS NOT NULL;
CREATE VIEW bill AS
SELECT m.meter, c.day, c.revision, c.tariff_key, c.category, c.load_w, c.month_wh, c.energy_wh, c.energy_micros,
       c.fixed_micros, c.duty_micros, c.rebate_micros, c.rounding_micros, c.total_micros, c.transfer_id, c.reversed
    FROM charge AS c JOIN meter AS m USING (meter_key);
CREATE INDEX standing_at_zero ON standing (zero_since_s) WHERE zero_since_s IS NOT NULL;
CREATE INDEX notice_meter ON notice (meter_key);
CREATE INDEX notice_delivery_waiting ON notice_delivery (sink, next_at_s) WHERE state = 'WAITING';
CREATE INDEX debtor_look ON debtor (look_at_s);
CREATE UNIQUE INDEX disconnection_waiting ON disconnection (meter_key) WHERE state IN ('QUARANTINED', 'RELEASED');
CREATE INDEX disconnection_queue ON disconnection (state, disconnection_id) WHERE state IN ('QUARANTINED', 'RELEASED');
CREATE INDEX disconnection_issued ON disconnection (decided_at_s) WHERE state = 'ISSUED';
CREATE INDEX disconnection_meter ON disconnection (meter_key);
CREATE INDEX disconnection_lasting ON disconnection (meter_key) WHERE state = 'ISSUED' AND reconnected_at_s IS NULL;
CREATE VIEW excused_meter AS
    SELECT meter_key FROM exception
    WHERE resolved_at_s IS NULL AND kind NOT IN ('ARREARS_NEED_PLAN', 'PLAN_BROKEN');
CREATE INDEX outage_ended ON outage (ended_at_s) WHERE ended_at_s IS NOT NULL;
CREATE UNIQUE INDEX plan_active ON plan (meter_key) WHERE state = 'ACTIVE';
CREATE INDEX plan_meter ON plan (meter_key);
CREATE INDEX act_subject ON act (subject);
COMMIT;
