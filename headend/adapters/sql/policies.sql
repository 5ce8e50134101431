-- newest_policy --
SELECT version, document FROM policy WHERE region = ? ORDER BY version DESC LIMIT 1;

-- policy --
SELECT version, document FROM policy WHERE region = ? AND version = ?;

-- add_policy --
INSERT INTO policy (region, version, document, valid_until_s, issued_at_s) VALUES (?, ?, ?, ?, ?);

-- meters_behind --
-- A page of (region, after meter_key, version, limit).
SELECT m.meter_key FROM meter AS m JOIN gateway AS g USING (gateway_key)
WHERE m.meter_key > ?2 AND m.policy_version < ?3 AND g.region = ?1
ORDER BY m.meter_key LIMIT ?4;

-- supersede_unapplied_policies --
UPDATE delivery SET state = 'REJECTED', ended_reason = 'SUPERSEDED'
WHERE meter_key = ?1 AND kind = 'POLICY' AND seq < ?2 AND state IN ('QUEUED', 'SENT');

-- add_policy_delivery --
INSERT INTO delivery (meter_key, kind, seq, queued_at_s) VALUES (?, 'POLICY', ?, ?);

-- want_policy --
UPDATE meter SET policy_version = ?2 WHERE meter_key = ?1;

-- apply_policy --
UPDATE delivery SET state = 'APPLIED', applied_at_s = ?3, sent_at_s = coalesce(sent_at_s, ?3)
WHERE meter_key = ?1 AND kind = 'POLICY' AND seq = ?2 AND state IN ('QUEUED', 'SENT');

-- acknowledge_policy --
UPDATE meter SET applied_policy_version = ?2 WHERE meter_key = ?1 AND applied_policy_version < ?2;

-- reject_policy --
UPDATE delivery SET state = 'REJECTED', ended_reason = ?3
WHERE meter_key = ?1 AND kind = 'POLICY' AND seq = ?2 AND state IN ('QUEUED', 'SENT');

-- forget_policy --
UPDATE delivery SET state = 'QUEUED', applied_at_s = NULL
WHERE meter_key = ?1 AND kind = 'POLICY' AND state = 'APPLIED'
  AND seq = (SELECT policy_version FROM meter WHERE meter_key = ?1);

-- note_policy_held --
UPDATE meter SET applied_policy_version = ?2 WHERE meter_key = ?1;
