-- add_credit_delivery --
INSERT INTO delivery (meter_key, kind, seq, transfer_id, amount_micros, credit_total_micros, queued_at_s)
VALUES (?, 'CREDIT', ?, ?, ?, ?, ?);

-- meter_relay --
SELECT meter_key, relay_version FROM meter WHERE meter = ?;

-- issue_relay --
UPDATE meter SET relay_version = ?2 WHERE meter_key = ?1;

-- add_relay_delivery --
INSERT INTO delivery (meter_key, kind, seq, relay, reason, expires_at_s, queued_at_s)
VALUES (?, 'RELAY', ?, ?, ?, ?, ?);

-- supersede_unsent_relays --
-- Positions that never left us end at once; one that was sent ends by the meter's word. An order to open does not
-- end one to close: if it expires or is refused, the home still gets its supply back. (meter_key, new position)
UPDATE delivery SET state = 'REJECTED', ended_reason = 'SUPERSEDED'
WHERE meter_key = ?1 AND kind = 'RELAY' AND state IN ('QUEUED', 'SENT') AND attempts = 0
  AND (relay = 'open' OR ?2 = 'closed');

-- expire_unsent_relays --
UPDATE delivery SET state = 'REJECTED', ended_reason = 'EXPIRED'
WHERE kind = 'RELAY' AND state = 'QUEUED' AND attempts = 0 AND expires_at_s < ?;

-- requeue_all --
UPDATE delivery SET state = 'QUEUED' WHERE state IN ('QUEUED', 'SENT') AND state = 'SENT';

-- requeue --
UPDATE delivery SET state = 'QUEUED' WHERE meter_key = ? AND kind = ? AND state = 'SENT';

-- newest_delivery --
SELECT coalesce(max(delivery_id), 0) FROM delivery;

-- open_lanes_after --
-- Meters that have an open delivery newer than this id.
SELECT DISTINCT m.gateway_key, d.kind, d.meter_key
FROM delivery AS d JOIN meter AS m USING (meter_key)
WHERE d.delivery_id > ? AND d.state IN ('QUEUED', 'SENT');

-- open_lanes_of_gateway --
SELECT DISTINCT m.gateway_key, d.kind, d.meter_key
FROM meter AS m JOIN delivery AS d USING (meter_key)
WHERE m.gateway_key = ? AND d.state IN ('QUEUED', 'SENT');

-- open_numbers --
-- Lanes of these meters (a JSON array of keys) with the oldest and the newest number that is open.
SELECT m.gateway_key, d.kind, d.meter_key, min(d.seq), max(d.seq)
FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value
JOIN delivery AS d USING (meter_key)
WHERE d.state IN ('QUEUED', 'SENT')
GROUP BY d.meter_key, d.kind;

-- newest_open --
-- The newest open delivery of each of these lanes (a JSON array of [kind, meter_key]); none while a person has
-- to look at the counter in question.
SELECT d.meter_key, m.meter, d.kind, max(d.seq), d.credit_total_micros, d.relay, d.queued_at_s, d.expires_at_s
FROM json_each(?) AS wanted
JOIN delivery AS d
  ON d.meter_key = json_extract(wanted.value, '$[1]') AND d.kind = json_extract(wanted.value, '$[0]')
 AND d.state IN ('QUEUED', 'SENT')
JOIN meter AS m USING (meter_key)
WHERE NOT EXISTS (
    SELECT 1 FROM exception AS e
    WHERE e.meter_key = d.meter_key AND e.resolved_at_s IS NULL AND e.kind LIKE d.kind || '%'
)
GROUP BY d.meter_key, d.kind;

-- send --
-- A credit command carries all credits up to its number, a relay command its own version only.
-- `sent_at_s` stays that of the first time: an answer to it may come after a repetition has gone out.
UPDATE delivery SET state = 'SENT', sent_at_s = coalesce(sent_at_s, ?4), attempts = attempts + 1
WHERE meter_key = ?1 AND kind = ?2 AND state IN ('QUEUED', 'SENT')
  AND seq <= ?3 AND (kind = 'CREDIT' OR seq = ?3);

-- apply_credits --
UPDATE delivery SET state = 'APPLIED', applied_at_s = ?3, sent_at_s = coalesce(sent_at_s, ?3)
WHERE meter_key = ?1 AND kind = 'CREDIT' AND seq <= ?2 AND state IN ('QUEUED', 'SENT');

-- acknowledge_credits --
UPDATE meter SET applied_credit_seq = ?2, applied_credit_total_micros = ?4, applied_credit_at_s = ?3
WHERE meter_key = ?1 AND applied_credit_seq < ?2;

-- apply_relay --
UPDATE delivery SET state = 'APPLIED', applied_at_s = ?3, sent_at_s = coalesce(sent_at_s, ?3)
WHERE meter_key = ?1 AND kind = 'RELAY' AND seq = ?2 AND state IN ('QUEUED', 'SENT');

-- supersede_relays --
UPDATE delivery SET state = 'REJECTED', ended_reason = 'SUPERSEDED'
WHERE meter_key = ?1 AND kind = 'RELAY' AND seq < ?2 AND state IN ('QUEUED', 'SENT');

-- supersede_older_opens --
UPDATE delivery SET state = 'REJECTED', ended_reason = 'SUPERSEDED'
WHERE meter_key = ?1 AND kind = 'RELAY' AND seq < ?2 AND relay = 'open' AND state IN ('QUEUED', 'SENT');

-- acknowledge_relay --
UPDATE meter SET applied_relay_version = ?2 WHERE meter_key = ?1 AND applied_relay_version < ?2;

-- reject_relay --
UPDATE delivery SET state = 'REJECTED', ended_reason = ?3
WHERE meter_key = ?1 AND kind = 'RELAY' AND seq = ?2 AND state IN ('QUEUED', 'SENT');

-- queue --
-- Open deliveries, or all of one meter: (meter or null, after delivery_id, limit).
SELECT d.delivery_id, m.meter, d.kind, d.seq, d.amount_micros, d.relay, d.reason, d.state, d.ended_reason,
       t.reference, coalesce(t.accepted_at_s, d.queued_at_s), t.posted_at_s, d.sent_at_s, d.attempts, d.applied_at_s,
       CASE WHEN d.state IN ('QUEUED', 'SENT') THEN (
           SELECT min(e.kind) FROM exception AS e
           WHERE e.meter_key = d.meter_key AND e.resolved_at_s IS NULL AND e.kind LIKE d.kind || '%'
       ) END
FROM delivery AS d JOIN meter AS m USING (meter_key) LEFT JOIN transfer AS t USING (transfer_id)
WHERE d.delivery_id > ?2
  AND CASE WHEN ?1 IS NULL THEN d.state IN ('QUEUED', 'SENT') ELSE m.meter = ?1 END
ORDER BY d.delivery_id LIMIT ?3;
