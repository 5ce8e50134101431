-- exceptions_of_kind --
-- A page of open ones: (kind, region or null, after exception_id, limit).
SELECT e.exception_id, e.kind, m.meter, e.detail, e.first_at_s, e.last_at_s, e.count, e.resolved_at_s, e.resolved_by,
       e.resolution, e.said_number, e.said_total_micros, e.said_at_s
FROM exception AS e JOIN meter AS m USING (meter_key) JOIN gateway AS g USING (gateway_key)
WHERE e.exception_id > ?3 AND e.kind = ?1 AND e.resolved_at_s IS NULL AND (?2 IS NULL OR g.region = ?2)
ORDER BY e.exception_id LIMIT ?4;

-- words --
-- What these meters (a JSON array of keys) said of their credit counter that a person has to look at.
SELECT e.meter_key, e.kind, e.said_number, e.said_total_micros, e.said_at_s
FROM json_each(?) AS wanted
JOIN exception AS e ON e.meter_key = wanted.value AND e.resolved_at_s IS NULL
 AND e.kind IN ('CREDIT_AHEAD', 'CREDIT_TOTAL_DIFFERS')
WHERE e.said_number IS NOT NULL;

-- never_sent --
-- Of these deliveries (a JSON array of [meter_key, kind, number]) those that never left this store.
SELECT d.meter_key, d.kind, d.seq
FROM json_each(?) AS wanted
JOIN delivery AS d
  ON d.meter_key = json_extract(wanted.value, '$[0]') AND d.kind = json_extract(wanted.value, '$[1]')
 AND d.seq = json_extract(wanted.value, '$[2]')
WHERE d.attempts = 0;

-- first_open --
SELECT min(seq) FROM delivery WHERE meter_key = ? AND kind = ? AND state IN ('QUEUED', 'SENT');

-- renumber_credits --
-- (meter_key, highest number that was ever given out): the open credits go on above it, in their order.
UPDATE delivery SET seq = ?2 + place.number, state = 'QUEUED'
FROM (
    SELECT delivery_id, row_number() OVER (ORDER BY seq) AS number
    FROM delivery WHERE meter_key = ?1 AND kind = 'CREDIT' AND state IN ('QUEUED', 'SENT')
) AS place
WHERE place.delivery_id = delivery.delivery_id;

-- take_over_credit --
-- (meter_key, highest number that was ever given out, the meter's number, its total, when by its clock)
UPDATE meter SET credit_seq = max(?2, (
        SELECT coalesce(max(seq), 0) FROM delivery WHERE meter_key = ?1 AND kind = 'CREDIT'
    )), applied_credit_seq = ?3, applied_credit_total_micros = ?4, applied_credit_at_s = ?5
WHERE meter_key = ?1;

-- raise_relay_version --
UPDATE meter SET relay_version = max(relay_version, ?2) WHERE meter_key = ?1;

-- forget_lost_numbers --
DELETE FROM lost_numbers WHERE meter_key = ?1 AND kind = ?2 AND from_number >= ?3;

-- note_lost_numbers --
INSERT INTO lost_numbers (meter_key, kind, from_number, to_number, said_number, said_total_micros, said_at_s)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- last_lost_policy --
-- The highest version of a policy that a lost store gave to a meter of this region.
SELECT coalesce(max(l.to_number), 0)
FROM lost_numbers AS l JOIN meter AS m USING (meter_key) JOIN gateway AS g USING (gateway_key)
WHERE l.kind = 'POLICY' AND g.region = ?;

-- close_policies_ahead --
-- (region, version, now): meters that said no more than this.
UPDATE exception SET resolved_at_s = ?3, resolved_by = 'headend', resolution = 'its region has a newer policy: ' || ?2
WHERE kind = 'POLICY_AHEAD' AND resolved_at_s IS NULL AND said_number < ?2
  AND meter_key IN (SELECT m.meter_key FROM meter AS m JOIN gateway AS g USING (gateway_key) WHERE g.region = ?1);

-- all_lost_numbers --
SELECT m.meter, l.kind, l.from_number, l.to_number, l.said_number, l.said_total_micros
FROM lost_numbers AS l JOIN meter AS m USING (meter_key);
