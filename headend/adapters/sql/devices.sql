-- register_offsets --
SELECT m.meter_key, m.register_offset_wh FROM json_each(?) AS wanted
JOIN meter AS m ON m.meter_key = wanted.value WHERE m.register_offset_wh <> 0;

-- former_devices --
SELECT f.device, f.meter_key, m.gateway_key, f.register_offset_wh, f.exchanged_at_s
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
-- A new device knows nothing: all credits, and the newest relay position and policy, go out to it.
UPDATE delivery SET state = 'QUEUED', applied_at_s = NULL
WHERE meter_key = ?1 AND state = 'APPLIED' AND (kind = 'CREDIT' OR seq = (
    SELECT max(o.seq) FROM delivery AS o
    WHERE o.meter_key = ?1 AND o.kind = delivery.kind AND o.state <> 'REJECTED'
));

-- add_to_offset --
UPDATE meter SET register_offset_wh = register_offset_wh + ?2 WHERE meter_key = ?1;
