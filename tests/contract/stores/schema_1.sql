-- A store as release 0.1 left it: every table with rows, a chain of three transfers.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'headend','m001_first_schema','2026-11-23 06:40:49.571058+00:00');
CREATE TABLE account (
    account_key INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    credits_micros INTEGER NOT NULL DEFAULT 0 CHECK (credits_micros >= 0),
    debits_micros INTEGER NOT NULL DEFAULT 0 CHECK (debits_micros >= 0)
) STRICT;
INSERT INTO "account" VALUES(1,'recharges',0,75000000);
INSERT INTO "account" VALUES(2,'energy',10300000,0);
INSERT INTO "account" VALUES(3,'consumer/M1',75000000,10300000);
INSERT INTO "account" VALUES(4,'consumer/M2',0,0);
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
INSERT INTO "delivery" VALUES(1,1,'CREDIT',1,1,25000000,25000000,NULL,NULL,NULL,'APPLIED',NULL,1730217600,1730217601,1,1730217602);
INSERT INTO "delivery" VALUES(2,1,'CREDIT',2,2,50000000,75000000,NULL,NULL,NULL,'SENT',NULL,1730226500,1730226501,1,NULL);
INSERT INTO "delivery" VALUES(3,1,'RELAY',1,NULL,NULL,NULL,'closed','test',NULL,'APPLIED',NULL,1730226550,1730226551,1,1730226552);
INSERT INTO "delivery" VALUES(4,2,'RELAY',1,NULL,NULL,NULL,'open','test',1730230200,'QUEUED',NULL,1730226600,NULL,0,NULL);
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
INSERT INTO "exception" VALUES(1,'SNAPSHOT_DIFFERS',1,'day closed at 3500 Wh before, now 3600 Wh came',1730227600,1730227600,1,NULL,NULL,NULL);
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
INSERT INTO "meter" VALUES(1,'M1',1,3,739188,1000,739188,3500,2,75000000,1,25000000,1730217602,1,1);
INSERT INTO "meter" VALUES(2,'M2',2,4,739188,0,739187,0,0,0,0,0,0,1,0);
CREATE TABLE outage (
    outage_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('HEADEND', 'BROKER_LINK', 'GATEWAY')),
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    began_at_s INTEGER NOT NULL,
    ended_at_s INTEGER
) STRICT;
INSERT INTO "outage" VALUES(1,'GATEWAY','R1/G2','nothing came',1730226600,NULL);
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
    settled_at_s INTEGER,
    PRIMARY KEY (meter_key, day)
) STRICT, WITHOUT ROWID;
INSERT INTO "snapshot" VALUES(1,739188,3500,1730227501);
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
INSERT INTO "transfer" VALUES(1,'PAY-1','RECHARGE',1,3,25000000,1730217600,1730217600,NULL,X'D2D0D5D4A5DF249F2047E054197C57BF2006DDB79D341DB5EB2ED0EBF8FCFE00');
INSERT INTO "transfer" VALUES(2,'PAY-2','RECHARGE',1,3,50000000,1730226500,1730226500,NULL,X'2FAE5BD278CAF1BA83DCE4FA2F9B9959C94800C204BAEAF47925C3B1F4F1AA0D');
INSERT INTO "transfer" VALUES(3,'energy/M1/2024-10-29','ENERGY',3,2,10300000,1730227501,1730227501,NULL,X'8F10D3D20389B4FE8AC03606D178EA4F8D55BE6EC4553F47D96FE165F31D4DD8');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX transfer_debit ON transfer (debit_account);
CREATE INDEX transfer_credit ON transfer (credit_account);
CREATE INDEX meter_gateway ON meter (gateway_key);
CREATE INDEX snapshot_unsettled ON snapshot (meter_key, day) WHERE settled_at_s IS NULL;
CREATE INDEX delivery_unsent_relay ON delivery (expires_at_s)
    WHERE kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0;
CREATE INDEX delivery_open ON delivery (meter_key, kind, seq) WHERE state IN ('QUEUED', 'SENT');
CREATE UNIQUE INDEX exception_open ON exception (meter_key, kind) WHERE resolved_at_s IS NULL;
CREATE UNIQUE INDEX outage_open ON outage (kind, subject) WHERE ended_at_s IS NULL;
COMMIT;
