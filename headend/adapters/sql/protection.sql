-- cases --
-- What decisions about these meters need (a JSON array of keys), in the order of the array.
SELECT m.meter_key,
       m.meter, g.region, g.gateway, m.installed_day, m.opening_register_wh, m.settled_day, m.settled_register_wh,
       m.credit_seq, m.credit_total_micros, m.applied_credit_seq, m.applied_credit_total_micros,
       m.relay_version, m.applied_relay_version, r.reading_seq, r.register_wh, r.read_at_s, r.relay_open,
       a.credits_micros, a.debits_micros, m.account_key, m.account_from_day, m.category, m.load_w, m.feeder,
       m.month_wh, m.has_terms, m.policy_version, m.applied_policy_version,
       s.zero_since_s, s.exhausted_since_s,
       (SELECT count(*) FROM delivery AS d
        WHERE d.meter_key = m.meter_key AND d.kind = 'CREDIT' AND d.state IN ('QUEUED', 'SENT')),
       EXISTS (SELECT 1 FROM plan AS p WHERE p.meter_key = m.meter_key AND p.state = 'ACTIVE'),
       (SELECT group_concat(e.kind) FROM exception AS e
        WHERE e.meter_key = m.meter_key AND e.resolved_at_s IS NULL AND e.kind <> 'PLAN_BROKEN'),
       coalesce((SELECT d.relay FROM delivery AS d
                 WHERE d.meter_key = m.meter_key AND d.kind = 'RELAY' AND d.state <> 'REJECTED'
                 ORDER BY d.seq DESC LIMIT 1), 'closed') = 'open',
       s.cut_announced_s, w.refused_for, w.no_cut_before_s
FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value
JOIN gateway AS g USING (gateway_key)
JOIN register AS r USING (meter_key)
JOIN account AS a USING (account_key)
JOIN standing AS s ON s.meter_key = m.meter_key
LEFT JOIN debtor AS w ON w.meter_key = m.meter_key
ORDER BY wanted.key;

-- due_debtors --
SELECT meter_key FROM debtor WHERE look_at_s <= ? ORDER BY look_at_s LIMIT ?;

-- enter_debtor --
INSERT INTO debtor (meter_key) VALUES (?) ON CONFLICT DO NOTHING;

-- leave_debtor --
DELETE FROM debtor WHERE meter_key = ?;

-- note_debtor --
UPDATE debtor SET look_at_s = ?2, refused_for = ?3 WHERE meter_key = ?1;

-- look_at_debtors_again --
UPDATE debtor SET look_at_s = 0 WHERE look_at_s > 0;

-- promise --
INSERT INTO debtor (meter_key, no_cut_before_s) VALUES (?1, ?2)
ON CONFLICT (meter_key) DO UPDATE SET no_cut_before_s = ?2;

-- add_disconnection --
INSERT INTO disconnection (meter_key, requested_at_s, requested_by, origin, reason, state, refused_for, basis,
                           decided_at_s, decided_by, relay_version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- cuts_since --
SELECT g.region, m.feeder, count(*)
FROM disconnection AS d JOIN meter AS m USING (meter_key) JOIN gateway AS g USING (gateway_key)
WHERE d.state = 'ISSUED' AND d.decided_at_s > ?
GROUP BY g.region, m.feeder;

-- waiting --
SELECT d.disconnection_id, m.meter, d.requested_at_s, d.requested_by, d.origin, d.reason, d.state, d.refused_for,
       d.basis, d.decided_at_s, d.decided_by, d.relay_version, d.reconnected_at_s
FROM disconnection AS d JOIN meter AS m USING (meter_key)
WHERE d.state IN ('QUARANTINED', 'RELEASED') AND d.state = ? AND d.disconnection_id > ?
ORDER BY d.disconnection_id LIMIT ?;

-- waiting_meters --
-- CROSS: meter by meter, by the index of those that wait, and not over all that wait for each meter.
SELECT d.meter_key FROM json_each(?) AS wanted
CROSS JOIN disconnection AS d ON d.meter_key = wanted.value AND d.state IN ('QUARANTINED', 'RELEASED');

-- waiting_wish --
SELECT d.disconnection_id, m.meter, d.requested_at_s, d.requested_by, d.origin, d.reason, d.state, d.refused_for,
       d.basis, d.decided_at_s, d.decided_by, d.relay_version, d.reconnected_at_s
FROM disconnection AS d JOIN meter AS m USING (meter_key)
WHERE d.disconnection_id = ? AND d.state = 'QUARANTINED';

-- decide --
UPDATE disconnection SET state = ?2, decided_by = ?3, decided_at_s = ?4, relay_version = ?5,
    refused_for = coalesce(?6, refused_for), basis = coalesce(?7, basis)
WHERE disconnection_id = ?1 AND state IN ('QUARANTINED', 'RELEASED');

-- lasting_cuts --
SELECT meter_key, max(disconnection_id), basis FROM disconnection
WHERE state = 'ISSUED' AND reconnected_at_s IS NULL AND meter_key > ?1 AND (origin = 'DEBT' OR ?3)
GROUP BY meter_key ORDER BY meter_key LIMIT ?2;

-- lasting_cut --
SELECT disconnection_id, basis FROM disconnection
WHERE state = 'ISSUED' AND reconnected_at_s IS NULL AND meter_key = ?1 AND (origin = 'DEBT' OR ?2)
ORDER BY disconnection_id DESC LIMIT 1;

-- note_reconnected --
UPDATE disconnection SET reconnected_at_s = ?2
WHERE state = 'ISSUED' AND reconnected_at_s IS NULL AND meter_key = ?1;

-- open_orders --
-- Of these orders (a JSON array of [meter_key, version]) those to open that wait for an answer: how often each was
-- sent, and who wanted it.
SELECT d.meter_key, d.seq, d.attempts, coalesce((
    SELECT c.origin FROM disconnection AS c
    WHERE c.meter_key = d.meter_key AND c.relay_version = d.seq AND c.state = 'ISSUED'
), 'ORDER')
FROM json_each(?) AS wanted
JOIN delivery AS d ON d.meter_key = json_extract(wanted.value, '$[0]') AND d.kind = 'RELAY'
 AND d.seq = json_extract(wanted.value, '$[1]') AND d.relay = 'open' AND d.state IN ('QUEUED', 'SENT');

-- disconnections --
SELECT d.disconnection_id, m.meter, d.requested_at_s, d.requested_by, d.origin, d.reason, d.state, d.refused_for,
       d.basis, d.decided_at_s, d.decided_by, d.relay_version, d.reconnected_at_s
FROM disconnection AS d JOIN meter AS m USING (meter_key)
WHERE ?1 IS NULL OR m.meter = ?1 ORDER BY d.disconnection_id DESC LIMIT ?2;

-- moratoria --
SELECT region, from_s, to_s, reason, ended_at_s FROM moratorium WHERE min(to_s, coalesce(ended_at_s, to_s)) > ?;

-- moratorium_rows --
SELECT moratorium_id, region, from_s, to_s, reason, declared_by, declared_at_s, ended_at_s, ended_by
FROM moratorium ORDER BY moratorium_id DESC LIMIT ?;

-- declare_moratorium --
INSERT INTO moratorium (region, from_s, to_s, reason, declared_by, declared_at_s) VALUES (?, ?, ?, ?, ?, ?)
RETURNING moratorium_id;

-- end_moratorium --
UPDATE moratorium SET ended_at_s = ?2, ended_by = ?3 WHERE moratorium_id = ?1 AND ended_at_s IS NULL AND to_s > ?2;

-- relays_moved --
-- Of these answers (a JSON array of [meter_key, version, at_s]) those whose order was still open.
SELECT d.meter_key, d.relay, d.reason, json_extract(wanted.value, '$[2]')
FROM json_each(?) AS wanted
JOIN delivery AS d ON d.meter_key = json_extract(wanted.value, '$[0]') AND d.kind = 'RELAY'
 AND d.seq = json_extract(wanted.value, '$[1]') AND d.state IN ('QUEUED', 'SENT');

-- reject_open --
UPDATE delivery SET state = 'REJECTED', ended_reason = ?3
WHERE meter_key = ?1 AND kind = 'RELAY' AND seq = ?2 AND relay = 'open' AND state IN ('QUEUED', 'SENT');
