-- Finished batches with right books, in whole sets. Run by benchmarks/finished_batches.py, which names the values and
-- switches the triggers off.

-- What an id of that moment begins with, as sora2.ids makes it.
CREATE OR REPLACE FUNCTION pg_temp.moment(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz',
                             (trunc(extract(epoch FROM at) * 1000)::bigint >> shift & 31)::int + 1, 1),
                      '' ORDER BY shift DESC)
    FROM generate_series(0, 45, 5) shift
$$;

-- One row for each batch; `turn` counts the batches of a wallet. A hundred of them, or all if they are more, lie within
-- `span`.
CREATE TEMP TABLE plan ON COMMIT DROP AS
SELECT 'org_' || lpad(w::text, 26, '0') AS organization_id,
       'wal_' || lpad(w::text, 26, '0') AS wallet_id,
       'bat_' || pg_temp.moment(at) || lpad((t * 1000000 + w)::text, 16, '0') AS batch_id,
       'order-' || w || '-' || t AS request_id,
       (t * 1000000 + w)::bigint AS number,
       t AS turn,
       at
FROM generate_series(%(first)s, %(last)s) w CROSS JOIN generate_series(1::bigint, %(turns)s) t
CROSS JOIN LATERAL (
    SELECT coalesce(%(since)s::timestamptz, date_trunc('month', now(), 'UTC') - interval '1 month 5 days')
           + t * (make_interval(secs => %(span)s) / greatest(%(turns)s, 100)) AS at
) moments;

-- The movements of each wallet in their order, with the balances after them.
CREATE TEMP TABLE movements ON COMMIT DROP AS
SELECT p.wallet_id, m.seq, 'led_' || lpad((p.number * 10 + m.seq %% 10)::text, 26, '0') AS id,
       p.at + m.seq * interval '1 second' AS created_at, m.kind, m.amount, m.available, m.reserved, m.settled,
       m.reference, m.request_id
FROM plan p CROSS JOIN LATERAL (
    SELECT 1 AS seq, 'grant' AS kind, %(funds)s AS amount, %(funds)s AS available, 0 AS reserved, 0 AS settled,
           'funds of ' || p.wallet_id AS reference, '' AS request_id
    WHERE p.turn = 1
    UNION ALL
    SELECT 3 * p.turn - 1, 'reserve', %(whole)s, %(funds)s - (p.turn - 1) * %(charged)s - %(whole)s, %(whole)s,
           (p.turn - 1) * %(charged)s, p.batch_id, p.request_id
    UNION ALL
    SELECT 3 * p.turn, 'settle', %(charged)s, %(funds)s - (p.turn - 1) * %(charged)s - %(whole)s, %(failed)s,
           p.turn * %(charged)s, p.batch_id, p.request_id
    UNION ALL
    SELECT 3 * p.turn + 1, 'refund', %(failed)s, %(funds)s - p.turn * %(charged)s, 0,
           p.turn * %(charged)s, p.batch_id, p.request_id
) m;
CREATE INDEX ON movements (seq);
ANALYZE plan, movements;

INSERT INTO customers_organization
    (id, name, contact_email, max_items_per_batch, rate_limit_per_minute, max_open_batches, created_at)
SELECT organization_id, 'Benchmark ' || number, '', 50, 60, 100, at FROM plan WHERE turn = 1;

-- One round of the recursion continues the chains of all wallets by one entry. Where nobody looks at hashes, each entry
-- has one as if it were the first.
WITH RECURSIVE chain AS (
    SELECT m.*, repeat('0', 64) AS prev_hash,
           ledger_entry_hash(repeat('0', 64), m.wallet_id, m.seq, m.id, m.created_at, m.kind, m.amount, m.available,
                             m.reserved, m.settled, m.reference, m.request_id, 'system', '') AS hash
    FROM movements m WHERE m.seq = 1 OR NOT %(chained)s
    UNION ALL
    SELECT m.*, c.hash,
           ledger_entry_hash(c.hash, m.wallet_id, m.seq, m.id, m.created_at, m.kind, m.amount, m.available,
                             m.reserved, m.settled, m.reference, m.request_id, 'system', '')
    FROM chain c JOIN movements m ON m.seq = c.seq + 1 AND m.wallet_id = c.wallet_id
    WHERE %(chained)s
)
INSERT INTO credit_ledger
    (entry_id, wallet_id, seq, created_at, kind, amount, available_after, reserved_after, settled_after, reference,
     request_id, actor, reason, prev_hash, hash)
SELECT id, wallet_id, seq, created_at, kind, amount, available, reserved, settled, reference, request_id, 'system', '',
       prev_hash, hash
FROM chain;

INSERT INTO ledger_wallet
    (id, organization_id, mode, available, reserved, settled, last_seq, last_entry_at, prev_hash, head_hash,
     created_at)
SELECT e.wallet_id, p.organization_id, 'live', e.available_after, e.reserved_after, e.settled_after, e.seq,
       e.created_at, e.prev_hash, e.hash, p.at
FROM plan p JOIN credit_ledger e ON e.wallet_id = p.wallet_id AND e.seq = 3 * p.turn + 1
WHERE p.turn = %(turns)s;

INSERT INTO ledger_creditrequest
    (id, wallet_id, kind, amount, reference, about, request_id, reason, evidence_url, basis, state, requested_at,
     requested_by_id, decided_at, decided_by_id, note)
SELECT 'crq_' || right(wallet_id, 26), wallet_id, kind, amount, reference, '', '', 'Benchmark', '', %(basis)s, 'approved',
       created_at, %(asks)s, created_at, %(decides)s, ''
FROM movements WHERE kind = 'grant';

INSERT INTO batches_batch
    (id, organization_id, mode, wallet_id, request_id, body_sha256, state, total, credits, webhook_url, metadata,
     price_version, created_via, created_by, created_at, started_at, finished_at, succeeded, failed, settled, refunded)
SELECT batch_id, organization_id, 'live', wallet_id, request_id, repeat('0', 64), 'partial', %(items)s, %(whole)s,
       'https://example.com/hook', '{}', '1', 'api', 'system', at, at, at + interval '5 minutes', %(items)s - 1, 1,
       %(charged)s, %(failed)s
FROM plan ORDER BY turn, wallet_id;

INSERT INTO batches_item
    (id, batch_id, index, custom_id, prompt, model, seconds, size, metadata, credits, route, status, attempts_made,
     failure_type, created_at, started_at, finished_at, refunded_at)
SELECT 'itm_' || lpad((number * 10000 + i)::text, 26, '0'), batch_id, i, '', 'A cat playing piano, take ' || i,
       'sora-2', 4, '1280x720', '{}', %(failed)s, 'simulator', s.status, 1,
       CASE s.status WHEN 'refunded' THEN 'timeout' ELSE '' END, at, at, at + interval '5 minutes',
       CASE s.status WHEN 'refunded' THEN at + interval '5 minutes' END
FROM plan CROSS JOIN generate_series(0, %(items)s - 1) i
CROSS JOIN LATERAL (SELECT CASE WHEN i < %(items)s - 1 THEN 'succeeded' ELSE 'refunded' END AS status) s
ORDER BY turn, wallet_id, i;

INSERT INTO batches_output (item_id, video, poster, content_type, bytes, sha256, duration_ms, created_at)
SELECT i.id, i.id || '.mp4', i.id || '.jpg', 'video/mp4', 17000, repeat('0', 64), 4000, i.finished_at
FROM plan p JOIN batches_item i ON i.batch_id = p.batch_id
WHERE i.status = 'succeeded';

-- What is joined below is planned for as many rows as there are now.
ANALYZE credit_ledger, batches_item;

-- Canonical JSON as batches.proofs makes it.
INSERT INTO batches_proof (batch_id, body, sha256)
SELECT batch_id, body, encode(sha256(convert_to(body, 'UTF8')), 'hex')
FROM (
    SELECT p.batch_id,
           format('{"batch_id":"%%s","entries":[%%s],"finalized_at":"%%s","items_count":%%s,"items_sha256":"%%s",'
                  '"ledger":{"refunded":%%s,"reserved":%%s,"settled":%%s},"livemode":true,"organization_id":"%%s",'
                  '"request_id":"%%s","state":"partial","summary":{"failed":1,"succeeded":%%s,"total":%%s}}',
                  p.batch_id, e.entries, to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                  %(items)s, i.sha256, %(failed)s, %(whole)s, %(charged)s, p.organization_id, p.request_id,
                  %(items)s - 1, %(items)s) AS body
    FROM plan p
    JOIN (
        SELECT batch_id, ITEMS_SHA256 AS sha256 FROM batches_item GROUP BY batch_id
    ) i ON i.batch_id = p.batch_id
    JOIN (
        SELECT reference, string_agg(format(
            '{"actor":"system","amount":%%s,"available_after":%%s,"created_at":"%%s","entry_id":"%%s","hash":"%%s",'
            '"kind":"%%s","prev_hash":"%%s","reason":"","reference":"%%s","request_id":"%%s","reserved_after":%%s,'
            '"seq":%%s,"settled_after":%%s,"wallet_id":"%%s"}', amount, available_after,
            to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), entry_id, hash, kind, prev_hash,
            reference, request_id, reserved_after, seq, settled_after, wallet_id), ',' ORDER BY seq) AS entries
        FROM credit_ledger GROUP BY reference
    ) e ON e.reference = p.batch_id
) b;

INSERT INTO webhooks_event (id, organization_id, mode, type, reference, part, body, created_at)
SELECT 'evt_' || right(p.batch_id, 26), p.organization_id, 'live', 'batch.completed', p.batch_id, '',
       format('{"event": "batch.completed", "batch_id": "%%s", "proof": {"url": "", "sha256": "%%s"}}', p.batch_id,
              f.sha256), p.at
FROM plan p JOIN batches_proof f ON f.batch_id = p.batch_id;

INSERT INTO webhooks_delivery
    (id, event_id, organization_id, mode, lane, url, state, skipped_reason, attempts_made, attempts_before,
     next_trigger, created_at)
SELECT 'dlv_' || right(batch_id, 26), 'evt_' || right(batch_id, 26), organization_id, 'live',
       left(encode(sha256(convert_to(organization_id || ' https://example.com/hook', 'UTF8')), 'hex'), 32),
       'https://example.com/hook', 'delivered', '', 1, 0, 'auto', at
FROM plan;

INSERT INTO webhooks_attempt (delivery_id, number, at, trigger, status_code, error, duration_ms, response)
SELECT 'dlv_' || right(batch_id, 26), 1, at, 'auto', 200, '', 12, 'ok' FROM plan;

-- One month is closed, in the middle of it all, and one seal made for each call.
INSERT INTO ledger_period (month, starts_at, ends_at, closed_at)
SELECT to_char(ends_at - interval '1 day', 'YYYY-MM'), ends_at - interval '1 month', ends_at, now()
FROM (SELECT date_trunc('month', now(), 'UTC') - interval '1 month' AS ends_at) m
ON CONFLICT DO NOTHING;

INSERT INTO ledger_periodbalance (period_id, wallet_id, available, reserved, settled, last_seq, head_hash)
SELECT p.month, e.wallet_id, e.available_after, e.reserved_after, e.settled_after, e.seq, e.hash
FROM ledger_period p CROSS JOIN plan w
JOIN credit_ledger e ON e.wallet_id = w.wallet_id AND e.seq = ledger_seq_before(w.wallet_id, p.ends_at)
WHERE w.turn = 1;

INSERT INTO ledger_seal (number, sealed_at, wallets, root, previous, body, signature, key_id)
SELECT %(first)s, now(), count(*), repeat('0', 64), repeat('0', 64), '', '', '' FROM ledger_wallet;

INSERT INTO ledger_sealleaf (seal_id, wallet_id, seq, head_hash)
SELECT %(first)s, w.id, w.last_seq, w.head_hash FROM plan p JOIN ledger_wallet w ON w.id = p.wallet_id
WHERE p.turn = 1;
