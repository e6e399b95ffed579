-- A wallet with so many entries, three for each of its batches: of those nothing is left but the entries, and of these
-- no right hash, which no page computes. Run by benchmarks/pages.py, which switches the triggers off.

INSERT INTO customers_organization
    (id, name, contact_email, max_items_per_batch, rate_limit_per_minute, max_open_batches, created_at)
VALUES (%(organization)s, 'Benchmark history', '', 50, 60, 100, now());

INSERT INTO ledger_wallet
    (id, organization_id, mode, available, reserved, settled, last_seq, last_entry_at, prev_hash, head_hash, created_at)
VALUES (%(wallet)s, %(organization)s, 'live', %(turns)s * 10, 0, %(turns)s * 9, %(turns)s * 3 + 1, now(),
        repeat('0', 64), repeat('0', 64), now());

INSERT INTO credit_ledger
    (entry_id, wallet_id, seq, created_at, kind, amount, available_after, reserved_after, settled_after, reference,
     request_id, actor, reason, prev_hash, hash)
SELECT 'led_h' || lpad(seq::text, 25, '0'), %(wallet)s, seq,
       now() - make_interval(secs => %(span)s) * (1 - (seq - 1.0) / (%(turns)s * 3)), kind, amount,
       %(turns)s * 19 - used, reserved, settled, reference, '', 'system', '', repeat('0', 64), repeat('0', 64)
FROM (
    SELECT 1::bigint AS seq, 'grant' AS kind, %(turns)s * 19 AS amount, 0 AS used, 0 AS reserved, 0 AS settled,
           'history' AS reference
    UNION ALL
    SELECT 3 * t - 2 + m.place, m.kind, m.amount, 9 * (t - 1) + m.used, m.reserved, 9 * (t - 1) + m.settled,
           'bat_h' || lpad(t::text, 25, '0')
    FROM generate_series(1::bigint, %(turns)s) t CROSS JOIN (
        VALUES (1, 'reserve', 10, 10, 10, 0), (2, 'settle', 9, 10, 1, 9), (3, 'refund', 1, 9, 0, 9)
    ) m (place, kind, amount, used, reserved, settled)
) entries;
