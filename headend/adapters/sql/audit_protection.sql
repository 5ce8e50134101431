-- all_moratoria --
-- What was done before one was declared broke no word.
SELECT region, max(from_s, declared_at_s), to_s, reason, ended_at_s FROM moratorium;

-- issued_cuts --
SELECT d.meter_key, m.meter, g.region, m.feeder, d.origin, d.basis, d.decided_at_s, d.relay_version, o.sent_at_s
FROM disconnection AS d JOIN meter AS m USING (meter_key) JOIN gateway AS g USING (gateway_key)
LEFT JOIN delivery AS o ON o.meter_key = d.meter_key AND o.kind = 'RELAY' AND o.seq = d.relay_version
WHERE d.state = 'ISSUED' ORDER BY d.disconnection_id;

-- undecided_opens --
SELECT m.meter, o.seq FROM delivery AS o JOIN meter AS m USING (meter_key)
WHERE o.kind = 'RELAY' AND o.relay = 'open' AND NOT EXISTS (
    SELECT 1 FROM disconnection AS d
    WHERE d.meter_key = o.meter_key AND d.relay_version = o.seq AND d.state = 'ISSUED'
);

-- recharges_on_their_way --
SELECT count(*) FROM delivery AS d JOIN transfer AS t USING (transfer_id)
WHERE d.meter_key = ?1 AND d.kind = 'CREDIT' AND t.accepted_at_s < ?2
  AND (d.applied_at_s IS NULL OR d.applied_at_s > ?2);

-- regions_of_meters --
SELECT m.meter, g.region FROM meter AS m JOIN gateway AS g USING (gateway_key);
