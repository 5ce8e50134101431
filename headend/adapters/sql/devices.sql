-- register_offsets --
SELECT m.meter_key, m.register_offset_wh FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value WHERE m.register_offset_wh <> 0;

-- former_devices --
SELECT f.device, f.meter_key, m.gateway_key, f.register_offset_wh, f.final_register_wh + f.register_offset_wh,
       f.exchanged_at_s
FROM json_each(?) AS wanted JOIN former_device AS f ON f.device = wanted.value JOIN meter AS m USING (meter_key);

-- add_former_device --
-- (meter_key, final_register_wh, at_s)
INSERT INTO former_device (device, meter_key, register_offset_wh, final_register_wh, exchanged_at_s, after_segment)
SELECT meter, meter_key, register_offset_wh, ?2, ?3, (SELECT coalesce(max(segment_id), 0) FROM segment)
FROM meter WHERE meter_key = ?1;

-- exchange_device --
-- (meter_key, new device, offset)
UPDATE meter SET meter = ?2, register_offset_wh = ?3, applied_credit_seq = 0, applied_credit_total_micros = 0,
    applied_credit_at_s = 0, applied_relay_version = 0, applied_policy_version = 0
WHERE meter_key = ?1;

-- exchange_register --
UPDATE register SET reading_seq = 0, register_wh = ?2, relay_open = 0 WHERE meter_key = ?1;

-- forget_applied --
-- A new device knows nothing: all credits, and the newest policy, go out to it. Relay positions do not: it comes
-- closed, and whether it is opened is for the gate to decide.
UPDATE delivery SET state = 'QUEUED', applied_at_s = NULL
WHERE meter_key = ?1 AND state = 'APPLIED' AND (kind = 'CREDIT' OR (kind = 'POLICY' AND seq = (
    SELECT max(o.seq) FROM delivery AS o WHERE o.meter_key = ?1 AND o.kind = 'POLICY' AND o.state <> 'REJECTED'
)));

-- add_to_offset --
UPDATE meter SET register_offset_wh = register_offset_wh + ?2 WHERE meter_key = ?1;

-- device_now --
SELECT m.meter FROM former_device AS f JOIN meter AS m USING (meter_key) WHERE f.device = ?;

-- devices_now --
SELECT f.device, m.meter FROM former_device AS f JOIN meter AS m USING (meter_key);

-- open_lanes_of_exchanged --
SELECT DISTINCT m.gateway_key, d.kind, d.meter_key
FROM (SELECT DISTINCT meter_key FROM former_device) AS f
JOIN meter AS m USING (meter_key)
JOIN delivery AS d USING (meter_key)
WHERE d.state IN ('QUEUED', 'SENT');

-- is_account_of --
SELECT 1 FROM account AS a JOIN meter_device AS d USING (meter_key) WHERE a.account_key = ? AND d.device = ?;
