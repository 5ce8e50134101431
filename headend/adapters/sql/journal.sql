-- heartbeat --
SELECT at_s, stopped FROM heartbeat;

-- beat --
INSERT INTO heartbeat (heartbeat_id, at_s, stopped) VALUES (1, ?1, ?2)
ON CONFLICT (heartbeat_id) DO UPDATE SET at_s = ?1, stopped = ?2;

-- begin_outage --
INSERT INTO outage (kind, subject, detail, began_at_s) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- end_outage --
UPDATE outage SET ended_at_s = max(began_at_s, ?3) WHERE kind = ?1 AND subject = ?2 AND ended_at_s IS NULL;

-- outages --
SELECT outage_id, kind, subject, detail, began_at_s, ended_at_s FROM outage
WHERE ?1 OR ended_at_s IS NULL ORDER BY outage_id DESC LIMIT ?2;
