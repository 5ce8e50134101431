-- advance_register --
-- Take a reading if it is newer and does not go back. The time of the balance never goes back (I21).
UPDATE register
SET reading_seq = ?2, read_at_s = max(coalesce(read_at_s, 0), ?3), register_wh = ?4, relay_open = ?5
WHERE meter_key = ?1 AND reading_seq < ?2 AND register_wh <= ?4;

-- advance_register_a_step --
-- As `advance_register`, by no more than any meter may at once (`domain.pace`): the adapter puts the numbers in, since
-- two more values to bind a row would cost a tenth of all that taking it in does.
UPDATE register
SET reading_seq = ?2, read_at_s = max(coalesce(read_at_s, 0), ?3), register_wh = ?4, relay_open = ?5
WHERE meter_key = ?1 AND reading_seq < ?2 AND reading_seq >= ?2 - :most_seqs
  AND register_wh <= ?4 AND register_wh >= ?4 - :most_wh;

-- register_states --
-- Day number 719163 is 1970-01-01; a meter without a reading counts from the day before its installation.
SELECT r.meter_key, r.reading_seq, r.register_wh, coalesce(r.read_at_s, (m.installed_day - 719164) * 86400)
FROM json_each(?) AS wanted JOIN register AS r ON r.meter_key = wanted.value JOIN meter AS m USING (meter_key);

-- add_segment --
INSERT INTO segment (from_s, to_s, rows, meter_keys, seqs, at_s, registers_wh) VALUES (?, ?, ?, ?, ?, ?, ?);

-- segments --
SELECT segment_id, meter_keys, seqs, at_s, registers_wh FROM segment ORDER BY segment_id;

-- add_snapshot --
-- Days before the installation are nobody's: their snapshots would stay unsettled for ever.
INSERT INTO snapshot (meter_key, day, register_wh)
SELECT ?1, ?2, ?3 FROM meter WHERE meter_key = ?1 AND installed_day <= ?2
ON CONFLICT DO NOTHING;

-- differing_snapshots --
-- Of these snapshots (a JSON array of [meter_key, day, register_wh]) those whose day holds another register.
SELECT s.meter_key, s.day, s.register_wh
FROM json_each(?) AS wanted
JOIN snapshot AS s
  ON s.meter_key = json_extract(wanted.value, '$[0]') AND s.day = json_extract(wanted.value, '$[1]')
WHERE s.register_wh <> json_extract(wanted.value, '$[2]');

-- add_exception --
-- What the meter said stays until it says something later.
INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s, said_number, said_total_micros, said_at_s)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
ON CONFLICT (meter_key, kind) WHERE resolved_at_s IS NULL
DO UPDATE SET count = count + 1, last_at_s = excluded.last_at_s, detail = excluded.detail,
    said_number = coalesce(excluded.said_number, said_number),
    said_total_micros = coalesce(excluded.said_total_micros, said_total_micros),
    said_at_s = coalesce(excluded.said_at_s, said_at_s)
WHERE excluded.said_at_s IS NULL OR said_at_s IS NULL OR excluded.said_at_s >= said_at_s;

-- resolve_exception --
UPDATE exception SET resolved_at_s = ?3, resolved_by = ?4, resolution = ?5
WHERE meter_key = ?1 AND kind = ?2 AND resolved_at_s IS NULL;

-- exceptions --
-- Open ones, or with ?3 those that are resolved: (meter or null, limit, resolved).
SELECT e.kind, m.meter, e.detail, e.first_at_s, e.last_at_s, e.count, e.resolved_at_s, e.resolved_by, e.resolution,
       e.said_number, e.said_total_micros, e.said_at_s
FROM exception AS e JOIN meter AS m USING (meter_key)
WHERE (e.resolved_at_s IS NOT NULL) = ?3 AND (?1 IS NULL OR m.meter = ?1) ORDER BY e.exception_id LIMIT ?2;

-- listening_since --
-- When the newest outage of the system ended; NULL: one lasts.
SELECT CASE WHEN count(*) > count(ended_at_s) THEN NULL ELSE coalesce(max(ended_at_s), 0) END
FROM outage WHERE kind IN ('HEADEND', 'BROKER_LINK');

-- list_silent_meters --
-- No reading since ?1, or never one though installed before day ?2: (since, day, now, limit).
INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s)
SELECT 'METER_SILENT', m.meter_key,
       coalesce('no reading for ' || ((?3 - r.read_at_s) / 3600) || ' hours', 'never a reading'), ?3, ?3
FROM register AS r JOIN meter AS m USING (meter_key)
WHERE coalesce(r.read_at_s < ?1, m.installed_day < ?2)
  AND NOT EXISTS (SELECT 1 FROM exception AS e
                  WHERE e.meter_key = m.meter_key AND e.kind = 'METER_SILENT' AND e.resolved_at_s IS NULL)
LIMIT ?4;

-- close_silent_meters --
-- (since, now)
UPDATE exception SET resolved_at_s = ?2, resolved_by = 'headend', resolution = 'the meter reports again'
WHERE kind = 'METER_SILENT' AND resolved_at_s IS NULL
  AND EXISTS (SELECT 1 FROM register AS r WHERE r.meter_key = exception.meter_key AND r.read_at_s >= ?1);

-- list_days_not_settled --
-- (day, now, limit). Day number 719163 is 1970-01-01. What is listed for another reason stays open for that; a jump
-- only if it is this day's and not a reading's, which may be anybody's and keeps no day open.
INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s)
SELECT 'DAY_NOT_SETTLED', m.meter_key, date((m.settled_day + 1 - 719163) * 86400, 'unixepoch')
       || ' is not settled: its register at midnight, or where a time band begins, is missing', ?2, ?2
FROM meter AS m
WHERE m.settled_day + 1 < ?1
  AND EXISTS (SELECT 1 FROM snapshot AS s WHERE s.meter_key = m.meter_key AND s.day > m.settled_day + 1)
  AND NOT EXISTS (SELECT 1 FROM exception AS e
                  WHERE e.meter_key = m.meter_key AND e.resolved_at_s IS NULL
                    AND (e.kind IN ('DAY_NOT_SETTLED', 'REGISTER_WENT_BACK', 'NO_PRICE')
                         OR (e.kind = 'IMPLAUSIBLE_JUMP' AND substr(e.detail, 1, 10)
                             = date((m.settled_day + 1 - 719163) * 86400, 'unixepoch'))))
LIMIT ?3;

-- close_days_not_settled --
-- (now)
UPDATE exception SET resolved_at_s = ?1, resolved_by = 'headend', resolution = 'the day is settled'
WHERE kind = 'DAY_NOT_SETTLED' AND resolved_at_s IS NULL
  AND NOT EXISTS (
      SELECT 1 FROM meter AS m WHERE m.meter_key = exception.meter_key
         AND substr(exception.detail, 1, 10) = date((m.settled_day + 1 - 719163) * 86400, 'unixepoch')
  );

-- list_open_without_order --
-- As the audit's check of I16: (now, limit).
INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s)
SELECT 'OPEN_WITHOUT_ORDER', r.meter_key, 'reported open; the newest order carried out is '
       || coalesce(d.relay || ' (version ' || d.seq || ')', 'none'), ?1, ?1
FROM register AS r JOIN meter AS m USING (meter_key)
LEFT JOIN delivery AS d ON d.meter_key = m.meter_key AND d.kind = 'RELAY' AND d.seq = m.applied_relay_version
WHERE r.relay_open = 1 AND coalesce(d.relay, 'closed') = 'closed' AND r.read_at_s > coalesce(d.applied_at_s, -1)
  AND NOT EXISTS (SELECT 1 FROM delivery AS o
                  WHERE o.meter_key = m.meter_key AND o.kind = 'RELAY' AND o.relay = 'open'
                    AND o.state IN ('QUEUED', 'SENT') AND o.attempts > 0)
  AND NOT EXISTS (SELECT 1 FROM exception AS e
                  WHERE e.meter_key = m.meter_key AND e.kind = 'OPEN_WITHOUT_ORDER' AND e.resolved_at_s IS NULL)
LIMIT ?2;

-- close_open_without_order --
UPDATE exception SET resolved_at_s = ?1, resolved_by = 'headend', resolution = 'the relay is closed again'
WHERE kind = 'OPEN_WITHOUT_ORDER' AND resolved_at_s IS NULL
  AND EXISTS (SELECT 1 FROM register AS r WHERE r.meter_key = exception.meter_key AND r.relay_open = 0);

-- dead_letter_count --
SELECT coalesce(max(dead_letter_id), 0) FROM dead_letter;

-- count_dead_letter --
UPDATE dead_letter SET count = count + 1, last_at_s = ?2 WHERE digest = ?1;

-- add_dead_letter --
INSERT INTO dead_letter (digest, topic, payload, code, detail, first_at_s, last_at_s) VALUES (?, ?, ?, ?, ?, ?6, ?6)
ON CONFLICT (digest) DO UPDATE SET count = count + 1, last_at_s = excluded.last_at_s;

-- dead_letters --
SELECT dead_letter_id, topic, length(payload), code, detail, first_at_s, last_at_s, count
FROM dead_letter ORDER BY dead_letter_id DESC LIMIT ?;

-- headend_views --
-- Our side of these meters' counters (a JSON array of keys).
SELECT m.meter_key, r.register_wh - m.register_offset_wh, r.reading_seq, coalesce(r.read_at_s, 0), m.credit_seq, m.applied_credit_seq,
       m.applied_credit_at_s, m.relay_version, m.applied_relay_version, m.policy_version, m.applied_policy_version
FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value
JOIN register AS r USING (meter_key);

-- credit_totals --
-- Our cumulative total at these credit numbers (a JSON array of [meter_key, seq]); of a number that a lost store
-- gave out it is what the meter said, if a person took it over.
SELECT d.meter_key, d.credit_total_micros
FROM json_each(?1) AS wanted
JOIN delivery AS d
  ON d.meter_key = json_extract(wanted.value, '$[0]') AND d.kind = 'CREDIT'
 AND d.seq = json_extract(wanted.value, '$[1]')
UNION ALL
SELECT l.meter_key, l.said_total_micros
FROM json_each(?1) AS wanted
JOIN lost_numbers AS l
  ON l.meter_key = json_extract(wanted.value, '$[0]') AND l.kind = 'CREDIT'
 AND l.said_number = json_extract(wanted.value, '$[1]');
