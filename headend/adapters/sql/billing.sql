-- tariffs --
SELECT tariff_key, document, imported_at_s, imported_by, used_at_s FROM tariff ORDER BY from_day;

-- put_tariff --
INSERT INTO tariff (from_day, name, version, document, imported_at_s, imported_by) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (from_day) DO UPDATE SET name = excluded.name, version = excluded.version,
    document = excluded.document, imported_at_s = excluded.imported_at_s, imported_by = excluded.imported_by
WHERE used_at_s IS NULL;

-- note_tariff_used --
UPDATE tariff SET used_at_s = ?2 WHERE tariff_key = ?1 AND used_at_s IS NULL;

-- last_charged_day --
SELECT coalesce(max(settled_day), 0) FROM meter WHERE settled_day >= installed_day;

-- open_days --
-- A page of (after meter_key, today, limit): every snapshot that is not settled, also behind a missing day.
SELECT m.meter_key, m.meter, m.account_key, m.category, m.load_w, m.has_terms, m.settled_day,
       m.settled_register_wh, m.month_wh, s.day, s.register_wh, s.revision
FROM snapshot AS s INDEXED BY snapshot_unsettled
JOIN meter AS m USING (meter_key)
WHERE s.settled_at_s IS NULL AND s.meter_key > ?1 AND s.day < ?2
ORDER BY s.meter_key, s.day LIMIT ?3;

-- terms --
SELECT from_day, account_key, category, load_w FROM terms WHERE meter_key = ? ORDER BY from_day;

-- keep_first_terms --
INSERT INTO terms (meter_key, from_day, account_key, category, load_w)
SELECT meter_key, installed_day, account_key, category, load_w FROM meter WHERE meter_key = ? AND has_terms = 0;

-- note_terms --
UPDATE meter SET has_terms = 1 WHERE meter_key = ?;

-- put_terms --
INSERT INTO terms (meter_key, from_day, account_key, category, load_w) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (meter_key, from_day) DO UPDATE
SET account_key = excluded.account_key, category = excluded.category, load_w = excluded.load_w;

-- band_registers --
SELECT minute, register_wh FROM band_register WHERE meter_key = ? AND day = ?;

-- add_band_register --
INSERT INTO band_register (meter_key, day, minute, register_wh) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- add_charge --
INSERT INTO charge (meter_key, day, revision, tariff_key, category, load_w, month_wh, energy_wh, energy_micros,
                    fixed_micros, duty_micros, rebate_micros, rounding_micros, total_micros, transfer_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- settle_snapshot --
UPDATE snapshot SET settled_at_s = ?3 WHERE meter_key = ?1 AND day = ?2;

-- settle_meter --
UPDATE meter SET settled_day = ?2, settled_register_wh = ?3, month_wh = ?4 WHERE meter_key = ?1;

-- look_again --
-- The balance changed otherwise than by the register.
UPDATE standing SET trip_wh = 0 WHERE meter_key = ?;

-- registers_around --
-- (meter_key, day, minute or null for the midnight that ends the day): the highest register before that place, the
-- lowest after it, and the one that is held of it.
SELECT
    (SELECT max(register_wh) FROM snapshot WHERE meter_key = ?1 AND day < ?2),
    (SELECT min(register_wh) FROM snapshot WHERE meter_key = ?1 AND day >= ?2 + (?3 IS NULL)),
    CASE WHEN ?3 IS NULL THEN (SELECT register_wh FROM snapshot WHERE meter_key = ?1 AND day = ?2)
    ELSE (SELECT register_wh FROM band_register WHERE meter_key = ?1 AND day = ?2 AND minute = ?3) END;

-- enter_snapshot --
INSERT INTO snapshot (meter_key, day, register_wh) VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET register_wh = ?3 WHERE settled_at_s IS NULL;

-- enter_band_register --
INSERT INTO band_register (meter_key, day, minute, register_wh) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET register_wh = ?4;

-- look_again_at --
UPDATE standing SET trip_wh = 0 WHERE meter_key IN (SELECT value FROM json_each(?));

-- look_again_by_account --
UPDATE standing SET trip_wh = 0 WHERE meter_key IN (SELECT meter_key FROM meter_account WHERE account_key IN (?, ?));

-- charges --
SELECT * FROM bill WHERE meter = ? AND day BETWEEN ? AND ? ORDER BY day, revision;

-- charges_of_transfers --
SELECT * FROM bill WHERE meter = ? AND transfer_id BETWEEN ? AND ?;

-- day_charges --
SELECT * FROM bill WHERE day = ? AND reversed = 0 ORDER BY meter;

-- charge_of_transfer --
SELECT bill.* FROM transfer AS t
JOIN meter_account AS a ON a.account_key = t.debit_account
JOIN meter AS m USING (meter_key)
JOIN bill ON bill.meter = m.meter AND bill.transfer_id = t.transfer_id
WHERE t.transfer_id = ?;

-- billing_days --
SELECT day, sum(settled_at_s IS NOT NULL), sum(settled_at_s IS NULL)
FROM snapshot WHERE day BETWEEN ? AND ? GROUP BY day ORDER BY day;

-- energy_of_version_1 --
-- What version 1 charged (meter, from the date on) and nobody has taken back: it made no bills.
SELECT t.transfer_id, t.reference, t.kind, t.debit_account, t.credit_account, t.amount_micros, t.accepted_at_s,
       t.posted_at_s, t.corrects, t.chain_hash
FROM meter AS m
JOIN meter_account AS a USING (meter_key)
JOIN transfer AS t ON t.debit_account = a.account_key AND t.kind = 'ENERGY'
WHERE m.meter = ?1 AND substr(t.reference, -10) >= ?2
  AND NOT EXISTS (SELECT 1 FROM transfer AS r WHERE r.corrects = t.transfer_id)
ORDER BY t.transfer_id;

-- reverse_charges --
UPDATE charge SET reversed = 1 WHERE meter_key = ? AND day >= ?;

-- reopen_snapshots --
UPDATE snapshot SET settled_at_s = NULL, revision = revision + 1
WHERE meter_key = ? AND day >= ? AND settled_at_s IS NOT NULL;

-- reopen_meter --
-- The meter stands again where it stood before the day: at the closing snapshot of the day before, or at its opening.
UPDATE meter SET settled_day = ?2 - 1,
    settled_register_wh = coalesce(
        (SELECT register_wh FROM snapshot AS s WHERE s.meter_key = meter.meter_key AND s.day = ?2 - 1),
        opening_register_wh),
    month_wh = coalesce(
        (SELECT c.month_wh + c.energy_wh FROM charge AS c
         WHERE c.meter_key = meter.meter_key AND c.day = ?2 - 1 AND c.reversed = 0), 0)
WHERE meter_key = ?1 AND settled_day >= ?2;

-- account_balance --
SELECT credits_micros - debits_micros FROM account WHERE account_key = ?;

-- move_to_account --
UPDATE meter SET account_key = ?2, account_from_day = ?3 WHERE meter_key = ?1;

-- begin_standing --
-- Another consumer begins: the debt of the one before, its age and what was announced for it, are none of theirs.
UPDATE standing SET trip_wh = 0, balance_micros = 0, credits_micros = 0, levels = 0, zero_since_s = NULL,
    exhausted_since_s = NULL, last_recharge_micros = 0, cut_announced_s = NULL
WHERE meter_key = ?;
