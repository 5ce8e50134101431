-- advance_register --
-- Take a reading if it is newer and does not go back. The time of the balance never goes back (I21).
UPDATE register
SET reading_seq = ?2, read_at_s = max(coalesce(read_at_s, 0), ?3), register_wh = ?4, relay_open = ?5
WHERE meter_key = ?1 AND reading_seq < ?2 AND register_wh <= ?4;

-- register_states --
SELECT r.meter_key, r.reading_seq, r.register_wh
FROM json_each(?) AS wanted JOIN register AS r ON r.meter_key = wanted.value;

-- add_segment --
INSERT INTO segment (from_s, to_s, rows, meter_keys, seqs, at_s, registers_wh) VALUES (?, ?, ?, ?, ?, ?, ?);

-- segments --
SELECT meter_keys, seqs, at_s, registers_wh FROM segment ORDER BY segment_id;

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
INSERT INTO exception (kind, meter_key, detail, first_at_s, last_at_s) VALUES (?1, ?2, ?3, ?4, ?4)
ON CONFLICT (meter_key, kind) WHERE resolved_at_s IS NULL
DO UPDATE SET count = count + 1, last_at_s = excluded.last_at_s, detail = excluded.detail;

-- resolve_exception --
UPDATE exception SET resolved_at_s = ?3, resolved_by = ?4, resolution = ?5
WHERE meter_key = ?1 AND kind = ?2 AND resolved_at_s IS NULL;

-- exceptions --
SELECT e.kind, m.meter, e.detail, e.first_at_s, e.last_at_s, e.count
FROM exception AS e JOIN meter AS m USING (meter_key)
WHERE e.resolved_at_s IS NULL AND (?1 IS NULL OR m.meter = ?1) ORDER BY e.exception_id LIMIT ?2;

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
SELECT m.meter_key, r.register_wh, r.reading_seq, coalesce(r.read_at_s, 0), m.credit_seq, m.applied_credit_seq,
       m.applied_credit_at_s, m.relay_version, m.applied_relay_version
FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value
JOIN register AS r USING (meter_key);

-- credit_totals --
-- Our cumulative total at these credit numbers (a JSON array of [meter_key, seq]).
SELECT d.meter_key, d.credit_total_micros
FROM json_each(?) AS wanted
JOIN delivery AS d
  ON d.meter_key = json_extract(wanted.value, '$[0]') AND d.kind = 'CREDIT'
 AND d.seq = json_extract(wanted.value, '$[1]');
