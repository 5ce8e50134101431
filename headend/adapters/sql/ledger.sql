-- account_key --
SELECT account_key FROM account WHERE code = ?;

-- transfer_by_reference --
SELECT transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s, posted_at_s,
       corrects, chain_hash
FROM transfer WHERE reference = ?;

-- chain_head --
SELECT transfer_id, chain_hash FROM transfer ORDER BY transfer_id DESC LIMIT 1;

-- add_transfer --
INSERT INTO transfer (transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s,
                      posted_at_s, corrects, chain_hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- debit_account --
UPDATE account SET debits_micros = debits_micros + ? WHERE account_key = ?;

-- credit_account --
UPDATE account SET credits_micros = credits_micros + ? WHERE account_key = ?;

-- meter_account --
SELECT meter_key, account_key, credit_seq, credit_total_micros FROM meter WHERE meter = ?;

-- issue_credit --
UPDATE meter SET credit_seq = ?2, credit_total_micros = ?3 WHERE meter_key = ?1;

-- unsettled_days --
-- Per meter the next day in order whose closing snapshot is in: a page of (max_day_wh, today, limit).
SELECT m.meter_key, m.meter, m.account_key, m.settled_register_wh, s.day, s.register_wh
FROM snapshot AS s INDEXED BY snapshot_unsettled
JOIN meter AS m ON m.meter_key = s.meter_key AND s.day = m.settled_day + 1
WHERE s.settled_at_s IS NULL AND s.register_wh - m.settled_register_wh BETWEEN 0 AND ? AND s.day < ? LIMIT ?;

-- settle_snapshot --
UPDATE snapshot SET settled_at_s = ?3 WHERE meter_key = ?1 AND day = ?2;

-- settle_meter --
UPDATE meter SET settled_day = ?2, settled_register_wh = ?3 WHERE meter_key = ?1;

-- statement --
-- One meter's transfers with the two later facts of its recharges: (meter, after transfer_id, limit).
SELECT t.transfer_id, t.reference, t.kind, t.amount_micros, t.credit_account = m.account_key,
       t.accepted_at_s, t.posted_at_s, d.seq, d.state, d.sent_at_s, d.applied_at_s
FROM meter AS m
JOIN transfer AS t ON t.debit_account = m.account_key OR t.credit_account = m.account_key
LEFT JOIN delivery AS d ON d.transfer_id = t.transfer_id
WHERE m.meter = ?1 AND t.transfer_id > ?2
ORDER BY t.transfer_id LIMIT ?3;

-- transfers --
SELECT transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s, posted_at_s,
       corrects, chain_hash
FROM transfer ORDER BY transfer_id;

-- impossible_days --
-- Next days that no home can have had: they stay open, a person has to look. (max_day_wh)
SELECT m.meter_key, m.meter, m.account_key, m.settled_register_wh, s.day, s.register_wh
FROM snapshot AS s INDEXED BY snapshot_unsettled
JOIN meter AS m ON m.meter_key = s.meter_key AND s.day = m.settled_day + 1
WHERE s.settled_at_s IS NULL AND s.register_wh - m.settled_register_wh NOT BETWEEN 0 AND ?;
