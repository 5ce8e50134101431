-- Each check yields (subject, what is wrong) for every violation, and nothing when all is well.

-- meter_registers --
SELECT m.meter_key, m.meter, r.reading_seq, r.register_wh, m.register_offset_wh,
       coalesce(f.final_wh, m.opening_register_wh), coalesce(f.after_segment, 0)
FROM meter AS m JOIN register AS r USING (meter_key)
-- Both only go up: the highest are those of the newest exchange.
LEFT JOIN (
    SELECT meter_key, max(final_register_wh + register_offset_wh) AS final_wh, max(after_segment) AS after_segment
    FROM former_device GROUP BY meter_key
) AS f USING (meter_key);

-- credits_reach_meter --
-- E1: credits in the ledger = the meter's credit counter.
SELECT m.meter, 'credited ' || coalesce(sum(t.amount_micros), 0) || ' micros in the ledger, '
    || m.applied_credit_total_micros || ' acknowledged by the meter'
FROM meter AS m
JOIN meter_account AS a USING (meter_key)
LEFT JOIN transfer AS t ON t.credit_account = a.account_key AND t.kind = 'RECHARGE'
GROUP BY m.meter_key
HAVING coalesce(sum(t.amount_micros), 0) <> m.applied_credit_total_micros;

-- relay_version_applied --
-- E3: the newest relay position that stands is the one that the meter carried out.
SELECT m.meter, 'relay version ' || coalesce(max(d.seq), 0) || ' desired, ' || m.applied_relay_version || ' applied'
FROM meter AS m
LEFT JOIN delivery AS d ON d.meter_key = m.meter_key AND d.kind = 'RELAY' AND d.state <> 'REJECTED'
GROUP BY m.meter_key
HAVING coalesce(max(d.seq), 0) <> m.applied_relay_version;

-- no_delivery_open --
-- E4: nothing is on its way.
SELECT m.meter, d.kind || ' ' || d.seq || ' is ' || d.state
FROM delivery AS d JOIN meter AS m USING (meter_key) WHERE d.state IN ('QUEUED', 'SENT');

-- transfers_balance --
-- I1: every transfer debits and credits the same amount, so the sum over all accounts is 0.
SELECT 'all accounts', 'credits - debits = ' || (sum(credits_micros) - sum(debits_micros)) || ' micros'
FROM account HAVING sum(credits_micros) <> sum(debits_micros)
UNION ALL
SELECT 'transfer ' || transfer_id, 'does not move a positive amount between two accounts'
FROM transfer
WHERE amount_micros <= 0 OR debit_account = credit_account
   OR debit_account NOT IN (SELECT account_key FROM account)
   OR credit_account NOT IN (SELECT account_key FROM account);

-- balances_fold --
-- I2: stored totals = fold of the transfers.
WITH folded AS (
    SELECT account_key, sum(debit) AS debits, sum(credit) AS credits
    FROM (
        SELECT debit_account AS account_key, amount_micros AS debit, 0 AS credit FROM transfer
        UNION ALL
        SELECT credit_account, 0, amount_micros FROM transfer
    ) GROUP BY account_key
)
SELECT a.code, 'stored ' || a.credits_micros || ' credits, ' || a.debits_micros || ' debits; transfers give '
    || coalesce(f.credits, 0) || ', ' || coalesce(f.debits, 0)
FROM account AS a LEFT JOIN folded AS f USING (account_key)
WHERE a.credits_micros <> coalesce(f.credits, 0) OR a.debits_micros <> coalesce(f.debits, 0);

-- recharge_has_delivery --
-- I3: a recharge in the ledger is one delivery of the same meter and amount, and the reverse.
SELECT coalesce(m.meter, a.code), 'recharge ' || t.reference || ' of ' || t.amount_micros || ' micros has '
    || CASE WHEN d.delivery_id IS NULL THEN 'no delivery' ELSE 'a delivery of another meter or amount' END
FROM transfer AS t
LEFT JOIN account AS a ON a.account_key = t.credit_account
LEFT JOIN meter_account AS o ON o.account_key = t.credit_account
LEFT JOIN meter AS m USING (meter_key)
LEFT JOIN delivery AS d ON d.transfer_id = t.transfer_id
WHERE t.kind = 'RECHARGE'
  AND (d.delivery_id IS NULL OR d.meter_key IS NOT m.meter_key OR d.amount_micros IS NOT t.amount_micros)
UNION ALL
SELECT m.meter, 'credit ' || d.seq || ' has no recharge in the ledger'
FROM delivery AS d JOIN meter AS m USING (meter_key)
WHERE d.kind = 'CREDIT'
  AND NOT EXISTS (SELECT 1 FROM transfer AS t WHERE t.transfer_id = d.transfer_id AND t.kind = 'RECHARGE');

-- energy_charged_once --
-- I6: settled days hang together: the settled register is that of the last settled day's snapshot.
SELECT m.meter, 'settled register ' || m.settled_register_wh || ' Wh, snapshot of that day '
    || coalesce(s.register_wh, m.opening_register_wh) || ' Wh'
FROM meter AS m LEFT JOIN snapshot AS s ON s.meter_key = m.meter_key AND s.day = m.settled_day
WHERE m.settled_register_wh <> coalesce(s.register_wh, m.opening_register_wh)
   OR (s.meter_key IS NULL AND m.settled_day >= m.installed_day)
UNION ALL
SELECT m.meter, 'settled register ' || m.settled_register_wh || ' Wh is above the register ' || r.register_wh || ' Wh'
FROM meter AS m JOIN register AS r USING (meter_key) WHERE m.settled_register_wh > r.register_wh
UNION ALL
SELECT m.meter, 'day ' || s.day || CASE WHEN s.settled_at_s IS NULL THEN ' is not' ELSE ' is' END
    || ' marked as settled, the meter is settled up to day ' || m.settled_day
FROM snapshot AS s JOIN meter AS m USING (meter_key)
WHERE s.day >= m.installed_day AND (s.settled_at_s IS NOT NULL) <> (s.day <= m.settled_day)
UNION ALL
SELECT meter, 'day ' || settled_on || ' is settled over ' || energy_wh || ' Wh, '
    || coalesce('its charge says ' || charged_wh || ' Wh', 'and there is no charge of it')
FROM (
    -- Day number 719163 is 1970-01-01.
    SELECT m.meter, date((s.day - 719163) * 86400, 'unixepoch') AS settled_on,
           s.register_wh - lag(s.register_wh, 1, m.opening_register_wh)
               OVER (PARTITION BY s.meter_key ORDER BY s.day) AS energy_wh,
           coalesce(c.energy_wh, CASE WHEN EXISTS (
               -- A day that the first schema charged: a transfer without lines.
               SELECT 1 FROM transfer AS t
               JOIN meter_device AS i ON i.meter_key = m.meter_key
                AND t.reference = 'energy/' || i.device || '/' || date((s.day - 719163) * 86400, 'unixepoch')
           ) THEN -1 END) AS charged_wh
    FROM snapshot AS s JOIN meter AS m USING (meter_key)
    LEFT JOIN charge AS c ON c.meter_key = s.meter_key AND c.day = s.day AND c.revision = s.revision
    WHERE s.settled_at_s IS NOT NULL
)
WHERE charged_wh IS NULL AND energy_wh > 0 OR charged_wh >= 0 AND charged_wh <> energy_wh;

-- charge_has_transfer --
-- I6: a bill and its transfer say the same, to the account whose day it was; what was billed anew was reversed.
SELECT m.meter, 'charge of day ' || c.day || ' (revision ' || c.revision || ') of ' || c.total_micros
    || ' micros: its transfer ' || coalesce(t.transfer_id || ' moves ' || t.amount_micros, 'is not there')
FROM charge AS c JOIN meter AS m USING (meter_key)
LEFT JOIN transfer AS t ON t.transfer_id = c.transfer_id AND t.kind = 'CHARGE'
    AND EXISTS (SELECT 1 FROM meter_account AS a WHERE a.meter_key = c.meter_key AND a.account_key = t.debit_account)
WHERE c.total_micros > 0 AND t.amount_micros IS NOT c.total_micros
UNION ALL
SELECT m.meter, 'charge of day ' || c.day || ' was billed anew and not reversed'
FROM charge AS c JOIN meter AS m USING (meter_key)
WHERE c.reversed = 1 AND c.transfer_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM transfer AS r WHERE r.corrects = c.transfer_id)
UNION ALL
SELECT code, 'transfer ' || t.transfer_id || ' of ' || t.amount_micros || ' micros has no bill'
FROM transfer AS t JOIN account AS a ON a.account_key = t.debit_account
WHERE t.kind = 'CHARGE' AND t.transfer_id NOT IN (SELECT transfer_id FROM charge WHERE transfer_id IS NOT NULL)
UNION ALL
SELECT code, 'stands at ' || (credits_micros - debits_micros) || ' micros and not at zero'
FROM account WHERE code = 'charges' AND credits_micros <> debits_micros;

-- reversals_name_their_transfer --
-- I5: a correction moves the same amount back between the same accounts.
SELECT 'transfer ' || r.transfer_id, 'does not take transfer ' || t.transfer_id || ' back'
FROM transfer AS r JOIN transfer AS t ON t.transfer_id = r.corrects
WHERE r.amount_micros <> t.amount_micros OR r.debit_account <> t.credit_account
   OR r.credit_account <> t.debit_account OR r.transfer_id < t.transfer_id;

-- sent_was_committed --
-- I9: what a meter answered was committed as SENT before; what is open or ended says how far it came.
SELECT m.meter, d.kind || ' ' || d.seq || ' is ' || d.state || ' but was never sent'
FROM delivery AS d JOIN meter AS m USING (meter_key)
WHERE (d.state = 'SENT' AND d.attempts = 0) OR (d.state IN ('SENT', 'APPLIED') AND d.sent_at_s IS NULL);

-- sequences_have_no_gap --
-- I11: credit numbers are 1, 2, 3 ... and totals add up. Numbers that a lost store gave out are no gap, and none of
-- ours has one of them.
WITH lost AS (
    SELECT meter_key, sum(to_number - from_number + 1) AS numbers, max(to_number) AS highest
    FROM lost_numbers WHERE kind = 'CREDIT' GROUP BY meter_key
)
SELECT m.meter, 'credit numbers 1 to ' || m.credit_seq || ' expected, '
    || (count(d.seq) + coalesce(l.numbers, 0)) || ' there, highest '
    || max(coalesce(max(d.seq), 0), coalesce(l.highest, 0)) || '; counter ' || m.credit_total_micros
    || ' micros, deliveries ' || coalesce(sum(d.amount_micros), 0)
FROM meter AS m LEFT JOIN delivery AS d ON d.meter_key = m.meter_key AND d.kind = 'CREDIT'
LEFT JOIN lost AS l ON l.meter_key = m.meter_key
GROUP BY m.meter_key
HAVING count(d.seq) + coalesce(l.numbers, 0) <> m.credit_seq
    OR max(coalesce(max(d.seq), 0), coalesce(l.highest, 0)) <> m.credit_seq
    OR coalesce(sum(d.amount_micros), 0) <> m.credit_total_micros
UNION ALL
SELECT m.meter, 'credit ' || d.seq || ' has a number that a lost store gave out'
FROM lost_numbers AS l
JOIN delivery AS d ON d.meter_key = l.meter_key AND d.kind = 'CREDIT' AND l.kind = 'CREDIT'
 AND d.seq BETWEEN l.from_number AND l.to_number
JOIN meter AS m ON m.meter_key = d.meter_key
UNION ALL
SELECT meter, 'credit ' || seq || ' says a total of ' || credit_total_micros || ' micros, its amounts give ' || folded
FROM (
    SELECT m.meter, d.seq, d.credit_total_micros,
           sum(d.amount_micros) OVER (PARTITION BY d.meter_key ORDER BY d.seq) AS folded
    FROM delivery AS d JOIN meter AS m USING (meter_key) WHERE d.kind = 'CREDIT'
) WHERE credit_total_micros <> folded;

-- applied_by_the_meter --
-- I12: a credit is APPLIED exactly when its number is within what the meter acknowledged.
SELECT m.meter, 'credit ' || d.seq || ' is ' || d.state || ', the meter acknowledged up to ' || m.applied_credit_seq
FROM delivery AS d JOIN meter AS m USING (meter_key)
WHERE d.kind = 'CREDIT' AND (d.state = 'APPLIED') <> (d.seq <= m.applied_credit_seq)
UNION ALL
SELECT m.meter, 'acknowledged total ' || m.applied_credit_total_micros || ' micros, our total at credit '
    || m.applied_credit_seq || ' is ' || coalesce(d.credit_total_micros, l.said_total_micros, 0)
FROM meter AS m
LEFT JOIN delivery AS d ON d.meter_key = m.meter_key AND d.kind = 'CREDIT' AND d.seq = m.applied_credit_seq
LEFT JOIN lost_numbers AS l ON l.meter_key = m.meter_key AND l.kind = 'CREDIT' AND l.said_number = m.applied_credit_seq
WHERE m.applied_credit_total_micros <> coalesce(d.credit_total_micros, l.said_total_micros, 0);

-- relay_open_by_order --
-- I16: a relay that the meter reports open is open by the newest order that it carried out.
SELECT m.meter, 'reported open at ' || r.read_at_s || '; the newest order carried out is '
    || coalesce(d.relay || ' (version ' || d.seq || ')', 'none')
FROM register AS r
JOIN meter AS m USING (meter_key)
LEFT JOIN delivery AS d ON d.meter_key = m.meter_key AND d.kind = 'RELAY' AND d.seq = m.applied_relay_version
WHERE r.relay_open = 1 AND coalesce(d.relay, 'closed') = 'closed' AND r.read_at_s > coalesce(d.applied_at_s, -1)
  AND NOT EXISTS (
      SELECT 1 FROM delivery AS o
      WHERE o.meter_key = m.meter_key AND o.kind = 'RELAY' AND o.relay = 'open' AND o.state IN ('QUEUED', 'SENT')
        AND o.attempts > 0
  );

-- credit_totals --
SELECT m.meter, d.seq, d.credit_total_micros, d.attempts
FROM delivery AS d JOIN meter AS m USING (meter_key) WHERE d.kind = 'CREDIT';

-- relay_orders --
SELECT m.meter, d.seq, d.relay, d.expires_at_s
FROM delivery AS d JOIN meter AS m USING (meter_key) WHERE d.kind = 'RELAY';

-- plans_hold --
-- I7: what a plan says is what its transfers come to: the debt went on to its account once, its instalments are what
-- came back, and a plan that ended left nothing there. Each way of ending excludes the others by the schema.
WITH moved AS (
    SELECT p.plan_id,
           coalesce(sum(t.amount_micros) FILTER (WHERE t.kind = 'ARREARS' AND t.debit_account = p.account_key), 0) AS put,
           coalesce(sum(t.amount_micros) FILTER (WHERE t.kind = 'INSTALMENT'), 0) AS come,
           coalesce(sum(t.amount_micros) FILTER (WHERE t.kind = 'ARREARS' AND t.credit_account = p.account_key), 0) AS back,
           count(*) FILTER (WHERE t.kind NOT IN ('ARREARS', 'INSTALMENT')
               OR p.debtor_key NOT IN (t.debit_account, t.credit_account)) AS strange
    FROM plan AS p LEFT JOIN transfer AS t ON t.debit_account = p.account_key OR t.credit_account = p.account_key
    GROUP BY p.plan_id
)
SELECT m.meter, 'plan ' || p.plan_id || ' (' || p.state || ') of ' || p.debt_micros || ' micros, ' || p.recovered_micros
    || ' recovered; its transfers: ' || v.put || ' put on, ' || v.come || ' in instalments, ' || v.back || ' given back, '
    || v.strange || ' of another kind or account'
FROM plan AS p JOIN moved AS v USING (plan_id) JOIN meter AS m USING (meter_key)
WHERE v.put <> p.debt_micros OR v.come <> p.recovered_micros OR v.strange > 0
   OR v.back <> CASE WHEN p.state IN ('CANCELLED', 'EXPIRED') THEN p.debt_micros - p.recovered_micros ELSE 0 END;

-- instalments_within_terms --
-- I19: no day takes more than the plan's instalment, no recharge more than the plan's share of it.
SELECT m.meter, 'plan ' || p.plan_id || ': ' || t.reference || ' took ' || t.amount_micros || ' micros, above '
    || coalesce('the instalment of ' || p.instalment_micros,
                p.share_bp || ' basis points of ' || coalesce(r.amount_micros, 0))
FROM transfer AS t
JOIN plan AS p ON p.account_key = t.credit_account
JOIN meter AS m USING (meter_key)
LEFT JOIN transfer AS r ON r.kind = 'RECHARGE' AND t.reference = 'instalment/' || r.reference
WHERE t.kind = 'INSTALMENT'
  AND t.amount_micros > coalesce(p.instalment_micros, p.share_bp * r.amount_micros / 10000, 0);
