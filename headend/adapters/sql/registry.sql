-- add_gateway --
INSERT INTO gateway (region, gateway) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- add_region --
-- Outages that were over at the last sign of life are none of a new region's.
INSERT INTO region (region, looked_until_s) VALUES (?, coalesce((SELECT at_s FROM heartbeat), 0)) ON CONFLICT DO NOTHING;

-- gateway_key --
SELECT gateway_key FROM gateway WHERE region = ? AND gateway = ?;

-- gateways --
SELECT gateway_key, region, gateway, last_heard_s FROM gateway WHERE gateway_key > ? ORDER BY gateway_key;

-- gateways_heard --
UPDATE gateway SET last_heard_s = ?2 WHERE gateway_key = ?1 AND (last_heard_s IS NULL OR last_heard_s < ?2);

-- registrations --
-- Which of these meters (a JSON array of ids) exist, and as what.
SELECT m.meter, g.region, g.gateway, m.opening_register_wh, m.installed_day, m.category, m.load_w, m.feeder
FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter = wanted.value
JOIN gateway AS g USING (gateway_key);

-- add_account --
INSERT INTO account (code) VALUES (?);

-- own_account --
UPDATE account SET meter_key = (SELECT meter_key FROM meter WHERE meter = ?1) WHERE code = ?2;

-- add_meter --
-- meter, installed_day, opening_register_wh, region, gateway, account code, category, load_w, feeder
INSERT INTO meter (meter, gateway_key, account_key, installed_day, opening_register_wh, settled_day,
                   settled_register_wh, account_from_day, category, load_w, feeder)
SELECT ?1, g.gateway_key, a.account_key, ?2, ?3, ?2 - 1, ?3, ?2, ?7, ?8, ?9
FROM gateway AS g, account AS a
WHERE g.region = ?4 AND g.gateway = ?5 AND a.code = ?6;

-- add_register --
INSERT INTO register (meter_key, register_wh) SELECT meter_key, opening_register_wh FROM meter WHERE meter = ?;

-- add_standing --
INSERT INTO standing (meter_key) SELECT meter_key FROM meter WHERE meter = ?;

-- meter_keys --
-- Keys and gateways of these meters (a JSON array of ids).
SELECT m.meter, m.meter_key, m.gateway_key
FROM json_each(?) AS wanted JOIN meter AS m ON m.meter = wanted.value;

-- meter_count --
SELECT count(*) FROM meter;

-- meter_rows --
-- One page of meters after an id, or the one of that id: (after, exact or null, limit).
SELECT m.meter, g.region, g.gateway, m.installed_day, m.opening_register_wh, m.settled_day, m.settled_register_wh,
       m.credit_seq, m.credit_total_micros, m.applied_credit_seq, m.applied_credit_total_micros,
       m.relay_version, m.applied_relay_version,
       r.reading_seq, r.register_wh, r.read_at_s, r.relay_open,
       a.credits_micros, a.debits_micros, m.account_key, m.account_from_day, m.category, m.load_w, m.feeder,
       m.month_wh, m.has_terms, m.policy_version, m.applied_policy_version
FROM meter AS m
JOIN gateway AS g USING (gateway_key)
JOIN register AS r USING (meter_key)
JOIN account AS a USING (account_key)
WHERE m.meter > ?1 AND (?2 IS NULL OR m.meter = ?2)
ORDER BY m.meter LIMIT ?3;
