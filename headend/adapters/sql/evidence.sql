-- last_act --
SELECT act_id, chain_hash FROM act ORDER BY act_id DESC LIMIT 1;

-- add_act --
INSERT INTO act (act_id, at_s, actor, kind, subject, reason, basis, chain_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- acts --
SELECT act_id, at_s, actor, kind, subject, reason, basis, chain_hash FROM act ORDER BY act_id;

-- story_of_meter --
-- Everything of a meter from ?2 up to before ?3, by the table that it stands in, its facts as JSON.
WITH m AS (
    SELECT m.meter_key, m.meter, g.region, g.gateway FROM meter AS m JOIN gateway AS g USING (gateway_key)
    WHERE m.meter = ?1
),
t AS (
    SELECT t.*, t.credit_account = a.account_key AS is_credit
    FROM m JOIN meter_account AS a USING (meter_key)
    JOIN transfer AS t ON t.credit_account = a.account_key OR t.debit_account = a.account_key
),
story (at_s, number, what, facts) AS (
    SELECT t.accepted_at_s, t.transfer_id, 'RECHARGE', json_object(
        'amount_micros', t.amount_micros, 'reference', t.reference, 'accepted_s', t.accepted_at_s,
        'posted_s', t.posted_at_s, 'credit', d.seq, 'sent_s', d.sent_at_s, 'applied_s', d.applied_at_s)
    FROM t LEFT JOIN delivery AS d USING (transfer_id) WHERE t.kind = 'RECHARGE'
    UNION ALL
    SELECT t.posted_at_s, t.transfer_id, 'TRANSFER', json_object(
        'kind', t.kind, 'reference', t.reference,
        'amount_micros', iif(t.is_credit, t.amount_micros, -t.amount_micros),
        'corrects', (SELECT reference FROM transfer AS c WHERE c.transfer_id = t.corrects))
    FROM t WHERE t.kind NOT IN ('RECHARGE', 'CHARGE')
    UNION ALL
    SELECT coalesce(s.settled_at_s, b.posted_at_s), c.day, 'CHARGE', json_object(
        'day', c.day, 'energy_wh', c.energy_wh, 'energy_micros', c.energy_micros, 'fixed_micros', c.fixed_micros,
        'duty_micros', c.duty_micros, 'rebate_micros', c.rebate_micros, 'total_micros', c.total_micros,
        'revision', c.revision, 'reversed', c.reversed)
    FROM m JOIN charge AS c USING (meter_key) LEFT JOIN transfer AS b USING (transfer_id)
    LEFT JOIN snapshot AS s ON s.meter_key = c.meter_key AND s.day = c.day AND s.revision = c.revision
    UNION ALL
    SELECT d.requested_at_s, d.disconnection_id, 'DISCONNECTION', json_object(
        'disconnection_id', d.disconnection_id, 'requested_by', d.requested_by, 'reason', d.reason,
        'state', d.state, 'refused_for', d.refused_for, 'decided_s', d.decided_at_s, 'decided_by', d.decided_by,
        'relay_version', d.relay_version, 'basis', json(d.basis))
    FROM m JOIN disconnection AS d USING (meter_key)
    UNION ALL
    SELECT d.queued_at_s, d.delivery_id, d.kind, json_object(
        'version', d.seq, 'relay', d.relay, 'reason', d.reason, 'expires_s', d.expires_at_s,
        'sent_s', d.sent_at_s, 'applied_s', d.applied_at_s, 'state', d.state, 'ended_reason', d.ended_reason)
    FROM m JOIN delivery AS d USING (meter_key) WHERE d.kind <> 'CREDIT'
    UNION ALL
    SELECT n.at_s, n.notice_id, 'NOTICE', json_object(
        'notice_id', n.notice_id, 'kind', n.kind, 'content', json(n.content),
        'sinks', (SELECT json_group_object(d.sink, d.state) FROM notice_delivery AS d WHERE d.notice_id = n.notice_id))
    FROM m JOIN notice AS n
      ON n.meter_key = m.meter_key OR (n.meter_key IS NULL AND (n.region IS NULL OR n.region = m.region))
    UNION ALL
    SELECT e.first_at_s, e.exception_id, 'EXCEPTION', json_object('kind', e.kind, 'detail', e.detail,
        'count', e.count, 'last_s', e.last_at_s)
    FROM m JOIN exception AS e USING (meter_key)
    UNION ALL
    SELECT e.resolved_at_s, e.exception_id, 'EXCEPTION_CLOSED', json_object(
        'kind', e.kind, 'resolved_by', e.resolved_by, 'resolution', e.resolution)
    FROM m JOIN exception AS e USING (meter_key) WHERE e.resolved_at_s IS NOT NULL
    UNION ALL
    SELECT o.began_at_s, o.outage_id, 'OUTAGE', json_object(
        'outage_id', o.outage_id, 'kind', o.kind, 'subject', o.subject, 'detail', o.detail)
    FROM m JOIN outage AS o ON o.kind <> 'GATEWAY' OR o.subject = m.region || '/' || m.gateway
    UNION ALL
    SELECT o.ended_at_s, o.outage_id, 'OUTAGE_ENDED', json_object(
        'outage_id', o.outage_id, 'kind', o.kind, 'subject', o.subject, 'began_s', o.began_at_s)
    FROM m JOIN outage AS o ON o.kind <> 'GATEWAY' OR o.subject = m.region || '/' || m.gateway
    WHERE o.ended_at_s IS NOT NULL
    UNION ALL
    SELECT w.declared_at_s, w.moratorium_id, 'MORATORIUM', json_object(
        'region', w.region, 'from_s', w.from_s, 'to_s', w.to_s, 'reason', w.reason, 'declared_by', w.declared_by,
        'ended_s', w.ended_at_s, 'ended_by', w.ended_by)
    FROM m JOIN moratorium AS w ON w.region IS NULL OR w.region = m.region
    UNION ALL
    SELECT a.at_s, a.act_id, 'ACT', json_object('act_id', a.act_id, 'kind', a.kind, 'subject', a.subject,
        'actor', a.actor, 'reason', a.reason, 'basis', json(a.basis))
    FROM act AS a
    WHERE a.subject IN (SELECT 'meter/' || d.device FROM m JOIN meter_device AS d USING (meter_key)
                        UNION ALL SELECT 'region/' || region FROM m
                        UNION ALL SELECT 'transfer/' || reference FROM t UNION ALL SELECT 'regions'
                        UNION ALL SELECT 'moratorium/' || w.moratorium_id
                        FROM m JOIN moratorium AS w ON w.region IS NULL OR w.region = m.region)
)
SELECT at_s, what, facts FROM story WHERE at_s >= ?2 AND at_s < ?3 ORDER BY at_s, what = 'ACT', number;

-- outage --
SELECT outage_id, kind, subject, detail, began_at_s, ended_at_s FROM outage WHERE outage_id = ?;

-- story_of_outage --
-- (outage_id, region or null, from, to)
WITH story (at_s, number, what, facts) AS (
    SELECT a.at_s, a.act_id, 'ACT', json_object('act_id', a.act_id, 'kind', a.kind, 'subject', a.subject,
        'actor', a.actor, 'reason', a.reason, 'basis', json(a.basis))
    FROM act AS a
    WHERE a.subject = 'outage/' || ?1
       OR (a.at_s >= ?3 AND a.at_s < ?4
           AND a.subject IN (SELECT 'region/' || region FROM region WHERE ?2 IS NULL OR region = ?2
                             UNION ALL SELECT 'regions' UNION ALL SELECT 'moratorium/' || w.moratorium_id
                             FROM moratorium AS w WHERE ?2 IS NULL OR w.region IS NULL OR w.region = ?2))
    UNION ALL
    SELECT w.declared_at_s, w.moratorium_id, 'MORATORIUM', json_object(
        'region', w.region, 'from_s', w.from_s, 'to_s', w.to_s, 'reason', w.reason, 'declared_by', w.declared_by,
        'ended_s', w.ended_at_s, 'ended_by', w.ended_by)
    FROM moratorium AS w
    WHERE (?2 IS NULL OR w.region IS NULL OR w.region = ?2) AND w.to_s > ?3 AND w.declared_at_s < ?4
    UNION ALL
    SELECT n.at_s, n.notice_id, 'NOTICE', json_object(
        'notice_id', n.notice_id, 'kind', n.kind, 'content', json(n.content),
        'sinks', (SELECT json_group_object(d.sink, d.state) FROM notice_delivery AS d WHERE d.notice_id = n.notice_id))
    FROM notice AS n WHERE n.meter_key IS NULL AND n.content ->> 'outage_id' = ?1
    UNION ALL
    SELECT o.began_at_s, o.outage_id, 'OUTAGE', json_object(
        'outage_id', o.outage_id, 'kind', o.kind, 'subject', o.subject, 'detail', o.detail)
    FROM outage AS o WHERE o.outage_id = ?1
    UNION ALL
    SELECT o.ended_at_s, o.outage_id, 'OUTAGE_ENDED', json_object(
        'outage_id', o.outage_id, 'kind', o.kind, 'subject', o.subject, 'began_s', o.began_at_s)
    FROM outage AS o WHERE o.outage_id = ?1 AND o.ended_at_s IS NOT NULL
)
SELECT at_s, what, facts FROM story ORDER BY at_s, number;

-- grace_until_s --
-- (region or null, end of the outage)
SELECT max(grace_until_s) FROM region WHERE (?1 IS NULL OR region = ?1) AND outage_ended_s >= ?2;

-- outage_totals --
-- (region or null, gateway, began, ended, end of grace, first billing day, last billing day)
WITH m AS MATERIALIZED (
    SELECT m.meter_key, m.meter, m.settled_day FROM meter AS m JOIN gateway AS g USING (gateway_key)
    WHERE ?1 IS NULL OR (g.region = ?1 AND g.gateway = ?2)
),
recharge AS MATERIALIZED (
    SELECT t.amount_micros, d.applied_at_s
    FROM transfer AS t JOIN delivery AS d USING (transfer_id) JOIN m USING (meter_key)
    WHERE t.kind = 'RECHARGE' AND t.accepted_at_s >= ?3 AND t.accepted_at_s < ?4
),
bill AS MATERIALIZED (
    SELECT s.settled_at_s FROM snapshot AS s JOIN m USING (meter_key)
    WHERE s.day BETWEEN ?6 AND ?7 AND s.settled_at_s >= ?3
),
decision AS MATERIALIZED (
    SELECT a.kind, a.at_s FROM act AS a
    WHERE a.at_s >= ?3 AND a.kind IN ('CUT', 'CUT_REFUSED', 'QUARANTINED') AND a.subject LIKE 'meter/%'
      AND (?1 IS NULL OR substr(a.subject, 7) IN (SELECT d.device FROM m JOIN meter_device AS d USING (meter_key)))
)
SELECT
    (SELECT count(*) FROM m) AS meters,
    (SELECT count(*) FROM recharge) AS recharges_accepted,
    (SELECT coalesce(sum(amount_micros), 0) FROM recharge) AS recharged_micros,
    (SELECT count(*) FROM recharge WHERE applied_at_s IS NOT NULL) AS recharges_applied,
    (SELECT min(applied_at_s) FROM recharge) AS first_applied_at_s,
    (SELECT max(applied_at_s) FROM recharge) AS last_applied_at_s,
    (SELECT count(*) FROM bill) AS days_settled,
    (SELECT max(settled_at_s) FROM bill) AS last_settled_at_s,
    (SELECT coalesce(sum(max(0, ?7 - max(settled_day, ?6 - 1))), 0) FROM m) AS days_open,
    (SELECT count(*) FROM decision WHERE kind = 'CUT_REFUSED' AND at_s < ?5) AS cuts_refused,
    (SELECT count(*) FROM decision WHERE kind = 'QUARANTINED' AND at_s < ?5) AS cuts_quarantined,
    (SELECT count(*) FROM decision WHERE kind = 'CUT' AND at_s < ?4) AS cuts_in_outage,
    (SELECT count(*) FROM decision WHERE kind = 'CUT' AND at_s >= ?4 AND at_s < ?5) AS cuts_in_grace,
    (SELECT count(*) FROM decision WHERE kind = 'CUT' AND at_s >= ?5) AS cuts_after_grace;

-- privileges_without_act --
-- I25: what only a person or the rules may do, without the act that says who, why and on what basis. What was
-- resolved before there was an audit log is left out.
SELECT 'meter ' || m.meter, 'no act of a cut says what disconnection ' || d.disconnection_id || ' does'
FROM disconnection AS d JOIN meter AS m USING (meter_key)
WHERE d.state = 'ISSUED' AND NOT EXISTS (
    SELECT 1 FROM meter_device AS i JOIN act AS a ON a.subject = 'meter/' || i.device AND a.kind = 'CUT'
    WHERE i.meter_key = d.meter_key AND a.at_s = d.decided_at_s AND a.actor = d.requested_by AND a.reason = d.reason
      AND a.basis ->> 'relay_version' = d.relay_version AND a.basis ->> 'origin' = d.origin
      AND json_valid(a.basis) AND json_valid(d.basis) AND NOT EXISTS (
          SELECT 1 FROM json_each(d.basis) AS b WHERE d.basis -> b.fullkey IS NOT a.basis -> b.fullkey
      )
)
UNION ALL
SELECT 'act ' || a.act_id, 'no disconnection says that ' || a.subject || ' was cut' FROM act AS a
WHERE a.kind = 'CUT' AND NOT EXISTS (
    SELECT 1 FROM meter_device AS i JOIN disconnection AS d USING (meter_key)
    WHERE i.device = substr(a.subject, 7) AND d.state = 'ISSUED' AND d.relay_version = a.basis ->> 'relay_version'
)
UNION ALL
SELECT 'act ' || act_id, 'released by ' || actor || ', who had wished it: a second person has to'
FROM act WHERE kind = 'RELEASED' AND actor = basis ->> 'requested_by'
UNION ALL
SELECT 'moratorium ' || moratorium_id, 'declared without an act that says the same' FROM moratorium
WHERE NOT EXISTS (
    SELECT 1 FROM act WHERE kind = 'MORATORIUM_DECLARED' AND basis ->> 'moratorium' = moratorium_id
      AND coalesce(basis ->> 'from_s', from_s) = from_s AND coalesce(basis ->> 'to_s', to_s) = to_s
      AND at_s = declared_at_s
      AND actor = declared_by AND subject = coalesce('region/' || region, 'regions')
)
UNION ALL
SELECT 'act ' || act_id, 'there is no moratorium ' || (basis ->> 'moratorium') || ' any more' FROM act
WHERE kind = 'MORATORIUM_DECLARED' AND basis ->> 'moratorium' NOT IN (SELECT moratorium_id FROM moratorium)
UNION ALL
SELECT 'moratorium ' || moratorium_id, 'ended without an act' FROM moratorium
WHERE ended_at_s IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM act WHERE kind = 'MORATORIUM_ENDED' AND basis ->> 'moratorium' = moratorium_id
)
UNION ALL
SELECT 'transfer ' || transfer_id, reference || ' reverses without an act' FROM transfer
WHERE kind = 'REVERSAL' AND posted_at_s NOT IN (SELECT at_s FROM act WHERE kind = 'REVERSAL')
UNION ALL
SELECT 'meter ' || m.meter, 'exception ' || e.kind || ' resolved by ' || e.resolved_by || ' without an act'
FROM exception AS e JOIN meter AS m USING (meter_key)
WHERE e.resolved_by <> 'headend' AND e.resolved_at_s >= (SELECT min(at_s) FROM act) AND NOT EXISTS (
    SELECT 1 FROM meter_device AS i JOIN act AS a ON a.subject = 'meter/' || i.device
    WHERE i.meter_key = e.meter_key AND a.actor = e.resolved_by AND a.at_s = e.resolved_at_s
);
