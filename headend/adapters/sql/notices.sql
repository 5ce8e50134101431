-- pass_over --
-- (after key, to key, today, marks, share of the last recharge in basis points, bounds): see `NoticeRows.pass_over`.
-- `room_micros` is what surely is left above the next mark; an overflow makes it a huge debt, so the home is priced.
-- What was credited since the last look may have taken the home back above levels that it was at.
WITH bound (category, per_wh, per_day, per_kw_day, once) AS MATERIALIZED (
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?6)
), home AS (
    SELECT s.meter_key, r.register_wh, b.per_wh,
           a.credits_micros - a.debits_micros - max(?4 ->> s.levels, s.last_recharge_micros * ?5 / 10000)
           - max(0, r.register_wh - m.settled_register_wh) * b.per_wh
           - max(0, ?3 - 1 - m.settled_day) * (b.per_day + (m.load_w + 999) / 1000 * b.per_kw_day)
           - b.once AS room_micros
    FROM standing AS s
    JOIN register AS r USING (meter_key)
    JOIN meter AS m USING (meter_key)
    JOIN account AS a USING (account_key)
    JOIN bound AS b ON b.category = coalesce(m.category, '')
    WHERE s.meter_key > ?1 AND s.meter_key <= ?2 AND r.register_wh >= s.trip_wh AND r.read_at_s IS NOT NULL
      AND s.zero_since_s IS NULL AND s.cut_announced_s IS NULL AND m.has_terms = 0
      AND (s.levels = 0 OR s.credits_micros = a.credits_micros)
)
UPDATE standing SET trip_wh = home.register_wh + home.room_micros / home.per_wh
FROM home WHERE home.meter_key = standing.meter_key AND home.room_micros > home.per_wh;

-- standings_to_look_at --
-- Of a range of meters those that report and whose register has reached the trip: (after key, to key). Not those
-- where days of a consumer who moved out are open: nobody knows yet what of the energy is whose.
SELECT s.meter_key, r.register_wh, r.read_at_s, m.settled_day, m.settled_register_wh, m.month_wh, m.category,
       m.load_w, m.has_terms, a.credits_micros, a.debits_micros, s.last_recharge_micros, s.credits_micros, s.levels,
       s.zero_since_s, s.exhausted_since_s, s.cut_announced_s
FROM standing AS s
JOIN register AS r USING (meter_key)
JOIN meter AS m USING (meter_key)
JOIN account AS a USING (account_key)
WHERE s.meter_key > ?1 AND s.meter_key <= ?2 AND r.register_wh >= s.trip_wh AND r.read_at_s IS NOT NULL
  AND m.settled_day + 1 >= m.account_from_day
ORDER BY s.meter_key;

-- last_meter_key --
SELECT coalesce(max(meter_key), 0) FROM meter;

-- put_standing --
-- Apart from the debt, whose index makes the update four times as dear.
UPDATE standing SET trip_wh = ?2, balance_micros = ?3, as_of_s = ?4, credits_micros = ?5, levels = ?6
WHERE meter_key = ?1;

-- put_debt --
UPDATE standing SET zero_since_s = ?2, exhausted_since_s = ?3, cut_announced_s = ?4 WHERE meter_key = ?1;

-- look_at_all_again --
UPDATE standing SET trip_wh = 0 WHERE trip_wh <> 0;

-- note_cut_announced --
UPDATE standing SET cut_announced_s = ?2 WHERE meter_key = ?1;

-- add_notice --
-- kind, meter_key or null, region or null, at_s, content; a meter's notice is its region's.
INSERT INTO notice (kind, meter_key, region, at_s, content)
VALUES (?1, ?2, CASE WHEN ?2 IS NULL THEN ?3 ELSE (
    SELECT g.region FROM meter AS m JOIN gateway AS g USING (gateway_key) WHERE m.meter_key = ?2
) END, ?4, ?5);

-- notices --
-- (meter or null, state or null, after, limit). A meter's are its own and those to everybody in its region. One
-- that no sink has taken up yet counts as waiting.
SELECT n.notice_id, n.kind, m.meter, n.region, n.at_s, n.content, (
    SELECT json_group_array(json_array(d.sink, d.state, d.attempts, d.detail) ORDER BY d.sink)
    FROM notice_delivery AS d WHERE d.notice_id = n.notice_id
)
FROM notice AS n LEFT JOIN meter AS m USING (meter_key)
LEFT JOIN (
    SELECT o.meter_key, g.region FROM meter AS o JOIN gateway AS g USING (gateway_key) WHERE o.meter = ?1
) AS own
WHERE n.notice_id > ?3
  AND (?1 IS NULL OR n.meter_key = own.meter_key
       OR (n.meter_key IS NULL AND (n.region IS NULL OR n.region = own.region)))
  AND CASE
      WHEN ?2 IS NULL THEN 1
      WHEN EXISTS (SELECT 1 FROM notice_delivery AS d WHERE d.notice_id = n.notice_id AND d.state = ?2) THEN 1
      ELSE ?2 = 'WAITING'
           AND NOT EXISTS (SELECT 1 FROM notice_delivery AS d WHERE d.notice_id = n.notice_id)
  END
ORDER BY n.notice_id LIMIT ?4;

-- outages_to_tell --
-- Outages of the system that last, or ended since ?1, with now ?2, longer than ?3, unless all of it is told.
WITH told AS MATERIALIZED (
    SELECT kind, content ->> 'outage_id' AS outage_id FROM notice WHERE meter_key IS NULL
)
SELECT o.outage_id, o.kind, o.subject, o.detail, o.began_at_s, o.ended_at_s, begun.outage_id IS NOT NULL
FROM outage AS o
LEFT JOIN told AS begun ON begun.kind = 'OUTAGE' AND begun.outage_id = o.outage_id
WHERE o.kind IN ('HEADEND', 'BROKER_LINK') AND (o.ended_at_s IS NULL OR o.ended_at_s >= ?1)
  AND coalesce(o.ended_at_s, ?2) - o.began_at_s > ?3
  AND (begun.outage_id IS NULL OR (o.ended_at_s IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM told WHERE told.kind = 'OUTAGE_ENDED' AND told.outage_id = o.outage_id
  )))
ORDER BY o.outage_id;

-- begin_sink --
INSERT INTO notice_sink (sink, taken_up_to)
SELECT ?1, coalesce((SELECT min(notice_id) - 1 FROM notice WHERE at_s >= ?2),
                    (SELECT max(notice_id) FROM notice), 0)
WHERE true
ON CONFLICT DO NOTHING;

-- next_to_take_up --
-- What a sink has taken up, and the last of its next page: (sink, limit).
SELECT s.taken_up_to, (
    SELECT max(notice_id) FROM (
        SELECT notice_id FROM notice WHERE notice_id > s.taken_up_to ORDER BY notice_id LIMIT ?2
    )
)
FROM notice_sink AS s WHERE s.sink = ?1;

-- take_up_notices --
INSERT INTO notice_delivery (notice_id, sink, state, next_at_s)
SELECT notice_id, ?1, 'WAITING', ?4 FROM notice WHERE notice_id > ?2 AND notice_id <= ?3;

-- note_taken_up --
UPDATE notice_sink SET taken_up_to = ?2 WHERE sink = ?1;

-- waiting_notices --
-- (sink, now_s, JSON array of ids in flight, limit)
SELECT n.notice_id, n.kind, m.meter, n.region, n.at_s, n.content, d.attempts
FROM notice_delivery AS d JOIN notice AS n USING (notice_id) LEFT JOIN meter AS m USING (meter_key)
WHERE d.sink = ?1 AND d.state = 'WAITING' AND d.next_at_s <= ?2
  AND n.notice_id NOT IN (SELECT value FROM json_each(?3))
ORDER BY d.next_at_s, d.notice_id LIMIT ?4;

-- note_delivery --
-- sink, notice_id, state, next_at_s, detail, now_s
UPDATE notice_delivery
SET state = ?3, attempts = attempts + 1, next_at_s = ?4, detail = ?5,
    ended_at_s = CASE WHEN ?3 = 'WAITING' THEN NULL ELSE ?6 END
WHERE sink = ?1 AND notice_id = ?2;

-- retry_failed --
UPDATE notice_delivery SET state = 'WAITING', attempts = 0, next_at_s = ?2, ended_at_s = NULL
WHERE state = 'FAILED' AND (?1 IS NULL OR sink = ?1);
