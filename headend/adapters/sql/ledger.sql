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

-- debit_accounts --
-- By the sums of a range of transfers (first, last): a settlement has thousands that credit one account.
UPDATE account SET debits_micros = debits_micros + new.amount_micros
FROM (
    SELECT debit_account, sum(amount_micros) AS amount_micros FROM transfer NOT INDEXED
    WHERE transfer_id BETWEEN ? AND ? GROUP BY debit_account
) AS new
WHERE account_key = new.debit_account;

-- credit_accounts --
UPDATE account SET credits_micros = credits_micros + new.amount_micros
FROM (
    SELECT credit_account, sum(amount_micros) AS amount_micros FROM transfer NOT INDEXED
    WHERE transfer_id BETWEEN ? AND ? GROUP BY credit_account
) AS new
WHERE account_key = new.credit_account;

-- meter_account --
SELECT meter_key, account_key, credit_seq, credit_total_micros FROM meter WHERE meter = ?;

-- issue_credit --
UPDATE meter SET credit_seq = ?2, credit_total_micros = ?3 WHERE meter_key = ?1;

-- note_recharge --
UPDATE standing SET trip_wh = 0, last_recharge_micros = ?2 WHERE meter_key = ?1;

-- statement --
-- One meter's transfers with the two later facts of its recharges: (meter, after transfer_id, limit, from, to).
SELECT t.transfer_id, t.reference, t.kind, o.reference, t.amount_micros, t.credit_account = a.account_key,
       t.accepted_at_s, t.posted_at_s, d.seq, d.state, d.sent_at_s, d.applied_at_s
FROM meter AS m
JOIN meter_account AS a USING (meter_key)
JOIN transfer AS t ON t.debit_account = a.account_key OR t.credit_account = a.account_key
LEFT JOIN transfer AS o ON o.transfer_id = t.corrects
LEFT JOIN delivery AS d ON d.transfer_id = t.transfer_id
WHERE m.meter = ?1 AND t.transfer_id > ?2 AND t.posted_at_s >= ?4 AND t.posted_at_s < ?5
ORDER BY t.transfer_id LIMIT ?3;

-- balance_before --
SELECT coalesce(sum(CASE WHEN t.credit_account = a.account_key THEN t.amount_micros ELSE -t.amount_micros END), 0)
FROM meter AS m
JOIN meter_account AS a USING (meter_key)
JOIN transfer AS t ON t.debit_account = a.account_key OR t.credit_account = a.account_key
WHERE m.meter = ?1 AND (t.posted_at_s < ?2 OR t.transfer_id <= ?3);

-- transfer_by_id --
SELECT transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s, posted_at_s,
       corrects, chain_hash
FROM transfer WHERE transfer_id = ?;

-- transfers --
SELECT transfer_id, reference, kind, debit_account, credit_account, amount_micros, accepted_at_s, posted_at_s,
       corrects, chain_hash
FROM transfer ORDER BY transfer_id;

