-- recoveries --
SELECT region, phase, since_s, outage_began_s, outage_ended_s, grace_until_s, first_left, looked_until_s, arrears_key
FROM region ORDER BY region;

-- put_region --
UPDATE region SET phase = ?2, since_s = ?3, outage_began_s = ?4, outage_ended_s = ?5, grace_until_s = ?6,
    first_left = ?7, looked_until_s = ?8, arrears_key = ?9
WHERE region = ?1;

-- silences --
-- Outages that last, or ended after a time. A gateway's subject is REGION/GATEWAY.
SELECT CASE kind WHEN 'GATEWAY' THEN substr(subject, 1, instr(subject, '/') - 1) END, began_at_s, ended_at_s,
       kind <> 'GATEWAY'
FROM outage WHERE ended_at_s IS NULL
UNION ALL
SELECT CASE kind WHEN 'GATEWAY' THEN substr(subject, 1, instr(subject, '/') - 1) END, began_at_s, ended_at_s,
       kind <> 'GATEWAY'
FROM outage WHERE ended_at_s > ?;

-- gateway_counts --
SELECT region, count(*) FROM gateway GROUP BY region;

-- left_credits --
-- This and what follows: what is left of (region, end of the outage, the day it ended on), counted up to a limit.
SELECT count(*) FROM (
    SELECT 1
    FROM delivery AS d INDEXED BY delivery_open
    JOIN meter AS m USING (meter_key)
    JOIN gateway AS g USING (gateway_key)
    WHERE d.state IN ('QUEUED', 'SENT') AND d.kind = 'CREDIT' AND g.region = ?1 AND d.queued_at_s <= ?2 AND ?3
      AND m.meter_key NOT IN (SELECT meter_key FROM excused_meter)
    LIMIT ?4
);

-- left_reconnections --
SELECT count(*) FROM (
    SELECT 1
    FROM delivery AS d INDEXED BY delivery_open
    JOIN meter AS m USING (meter_key)
    JOIN gateway AS g USING (gateway_key)
    WHERE d.state IN ('QUEUED', 'SENT') AND d.kind = 'RELAY' AND d.relay = 'closed' AND g.region = ?1
      AND d.queued_at_s <= ?2 AND ?3
      AND m.meter_key NOT IN (SELECT meter_key FROM excused_meter)
    LIMIT ?4
);

-- left_snapshots --
SELECT count(*) FROM (
    SELECT 1
    FROM gateway AS g
    JOIN meter AS m USING (gateway_key)
    WHERE g.region = ?1 AND m.settled_day < ?3 - 1 AND ?2
      AND ?3 - 1 - m.settled_day > (
          SELECT count(*) FROM snapshot AS s
          WHERE s.meter_key = m.meter_key AND s.day > m.settled_day AND s.day < ?3
      )
      AND m.meter_key NOT IN (SELECT meter_key FROM excused_meter)
    LIMIT ?4
);

-- left_settlement --
SELECT count(*) FROM (
    SELECT 1
    FROM gateway AS g
    JOIN meter AS m USING (gateway_key)
    WHERE g.region = ?1 AND m.settled_day < ?3 - 1 AND ?2
      AND m.meter_key NOT IN (SELECT meter_key FROM excused_meter)
    LIMIT ?4
);

-- left_display --
SELECT count(*) FROM (
    SELECT 1
    FROM gateway AS g
    JOIN meter AS m USING (gateway_key)
    JOIN register AS r USING (meter_key)
    WHERE g.region = ?1 AND coalesce(r.read_at_s, 0) <= ?2 AND ?3
      AND m.meter_key NOT IN (SELECT meter_key FROM excused_meter)
    LIMIT ?4
);

-- debtor --
SELECT m.meter_key, m.meter, m.account_key, a.credits_micros - a.debits_micros, p.plan_id
FROM meter AS m
JOIN account AS a USING (account_key)
LEFT JOIN plan AS p ON p.meter_key = m.meter_key AND p.state = 'ACTIVE'
WHERE m.meter = ?;

-- debtors --
-- A page of (region, after meter_key, limit).
SELECT m.meter_key, m.meter, m.account_key, a.credits_micros - a.debits_micros, p.plan_id
FROM meter AS m
JOIN gateway AS g USING (gateway_key)
JOIN account AS a USING (account_key)
LEFT JOIN plan AS p ON p.meter_key = m.meter_key AND p.state = 'ACTIVE'
WHERE g.region = ?1 AND m.meter_key > ?2 AND a.credits_micros < a.debits_micros
ORDER BY m.meter_key LIMIT ?3;

-- newest_plan --
SELECT coalesce(max(plan_id), 0) FROM plan;

-- add_plan --
INSERT INTO plan (plan_id, meter_key, debtor_key, account_key, debt_micros, instalment_micros, share_bp,
                  from_day, next_day, missed_allowed, made_by, made_at_s)
VALUES (?1, ?2, ?3, (SELECT account_key FROM account WHERE code = ?4), ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11);

-- put_course --
UPDATE plan SET recovered_micros = debt_micros - ?2, missed = ?3, next_day = ?4, state = ?5, ended_at_s = ?6
WHERE plan_id = ?1 AND state = 'ACTIVE';

-- active_plans --
-- Of these meters (a JSON array of keys).
SELECT p.plan_id, p.state, p.meter_key, m.meter, g.region, p.debtor_key, p.account_key, p.debt_micros,
       p.instalment_micros, p.share_bp, p.recovered_micros, p.from_day, p.next_day, p.missed, p.missed_allowed,
       p.made_by, p.made_at_s, p.ended_at_s, m.settled_day, a.credits_micros - a.debits_micros
FROM json_each(?) AS wanted
JOIN plan AS p ON p.meter_key = wanted.value AND p.state = 'ACTIVE'
JOIN meter AS m ON m.meter_key = p.meter_key
JOIN gateway AS g USING (gateway_key)
JOIN account AS a ON a.account_key = p.debtor_key;

-- plans --
-- A page of (meter or null, state or null, after plan_id, limit).
SELECT p.plan_id, p.state, p.meter_key, m.meter, g.region, p.debtor_key, p.account_key, p.debt_micros,
       p.instalment_micros, p.share_bp, p.recovered_micros, p.from_day, p.next_day, p.missed, p.missed_allowed,
       p.made_by, p.made_at_s, p.ended_at_s, m.settled_day, a.credits_micros - a.debits_micros
FROM plan AS p
JOIN meter AS m USING (meter_key)
JOIN gateway AS g USING (gateway_key)
JOIN account AS a ON a.account_key = p.debtor_key
WHERE p.plan_id > ?3 AND (?1 IS NULL OR m.meter = ?1) AND (?2 IS NULL OR p.state = ?2)
ORDER BY p.plan_id LIMIT ?4;

-- charges_of_days --
-- Of these days (a JSON array of [meter_key, day]).
SELECT c.meter_key, c.day, c.total_micros
FROM json_each(?) AS wanted
JOIN charge AS c
  ON c.meter_key = json_extract(wanted.value, '$[0]') AND c.day = json_extract(wanted.value, '$[1]')
WHERE c.reversed = 0;

-- recharges_since --
-- For [plan_id, since_s] (a JSON array); a meter whose newest credit is older has none, and costs one look. One that
-- was taken back is none.
SELECT p.plan_id, t.posted_at_s, iif(back.transfer_id IS NULL, t.amount_micros, 0) - coalesce(kept.amount_micros, 0)
FROM json_each(?) AS wanted
JOIN plan AS p ON p.plan_id = json_extract(wanted.value, '$[0]')
JOIN meter AS m ON m.meter_key = p.meter_key
JOIN delivery AS newest
  ON newest.meter_key = m.meter_key AND newest.kind = 'CREDIT' AND newest.seq = m.credit_seq
 AND newest.queued_at_s >= json_extract(wanted.value, '$[1]')
JOIN delivery AS d
  ON d.meter_key = m.meter_key AND d.kind = 'CREDIT' AND d.queued_at_s >= json_extract(wanted.value, '$[1]')
JOIN transfer AS t ON t.transfer_id = d.transfer_id AND t.credit_account = p.debtor_key
LEFT JOIN transfer AS kept ON kept.reference = 'instalment/' || t.reference
LEFT JOIN transfer AS back ON back.corrects = t.transfer_id;
