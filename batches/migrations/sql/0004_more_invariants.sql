-- Each invariant is one view that must return no row. `subject` is the id of the row that is wrong; `detail` is one
-- sentence for people who keep books: what it is, what it must be, how many credits that concerns. The views that
-- existed before say it in such sentences now, and are read in whole passes: each scans its tables once and joins by
-- hash, where they looked up rows of each wallet, batch or month before.

CREATE FUNCTION ledger_figure(amount numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(amount, 'FM999,999,999,999,999,999,990')
$$;

CREATE FUNCTION ledger_credits(amount numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ledger_figure(amount) || CASE WHEN abs(amount) = 1 THEN ' credit' ELSE ' credits' END
$$;

-- `1 credit too many available`, or null where there is nothing to say.
CREATE FUNCTION ledger_surplus(actual numeric, due numeric, bucket text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN actual <> due
                THEN format('%s too %s %s', ledger_credits(abs(actual - due)), CASE WHEN actual > due THEN 'many' ELSE 'few' END, bucket)
           END
$$;

-- The same, of the three buckets of a wallet.
CREATE FUNCTION ledger_surpluses(available numeric, due_available numeric, reserved numeric, due_reserved numeric,
                                 settled numeric, due_settled numeric)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT concat_ws(', ', ledger_surplus(available, due_available, 'available'),
                           ledger_surplus(reserved, due_reserved, 'reserved'),
                           ledger_surplus(settled, due_settled, 'settled'))
$$;

-- What ledger_movement says of each kind, as rows to join with: a function would be called for each entry. A kind that
-- is not here moves nothing.
CREATE VIEW ledger_movements AS
    SELECT k.kind, m.available, m.reserved, m.settled
    FROM unnest(ARRAY['grant', 'adjustment_in', 'adjustment_out', 'reserve', 'settle', 'refund']) k (kind)
    CROSS JOIN LATERAL ledger_movement(k.kind) m;

-- --- wallets and their entries --------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW invariant_wallet_equals_entries AS
    SELECT coalesce(w.id, e.wallet_id) AS subject,
           CASE WHEN w.id IS NULL
                THEN format('The wallet is missing; its entries add up to %s available, %s reserved and %s settled credits.',
                            ledger_figure(e.available), ledger_figure(e.reserved), ledger_figure(e.settled))
                ELSE format('The wallet shows %s available, %s reserved and %s settled; its entries add up to %s, %s and %s: %s.',
                            ledger_figure(w.available), ledger_figure(w.reserved), ledger_figure(w.settled),
                            ledger_figure(coalesce(e.available, 0)), ledger_figure(coalesce(e.reserved, 0)),
                            ledger_figure(coalesce(e.settled, 0)),
                            ledger_surpluses(w.available, coalesce(e.available, 0), w.reserved, coalesce(e.reserved, 0),
                                             w.settled, coalesce(e.settled, 0)))
           END AS detail
    FROM ledger_wallet w
    FULL JOIN (
        SELECT s.wallet_id, coalesce(sum(m.available * s.amount), 0) AS available,
               coalesce(sum(m.reserved * s.amount), 0) AS reserved, coalesce(sum(m.settled * s.amount), 0) AS settled
        FROM (SELECT wallet_id, kind, sum(amount) AS amount FROM credit_ledger GROUP BY wallet_id, kind) s
        LEFT JOIN ledger_movements m ON m.kind = s.kind
        GROUP BY s.wallet_id
    ) e ON e.wallet_id = w.id
    WHERE w.id IS NULL
       OR (w.available, w.reserved, w.settled)
          IS DISTINCT FROM (coalesce(e.available, 0), coalesce(e.reserved, 0), coalesce(e.settled, 0));

-- Served by credit_ledger_seq_once: one look-up for each wallet.
CREATE OR REPLACE VIEW invariant_wallet_equals_last_entry AS
    SELECT w.id AS subject,
           CASE WHEN w.last_seq > coalesce(e.seq, 0)
                THEN format('The wallet stands at entry %s, and its entries end with number %s', w.last_seq, coalesce(e.seq, 0))
                WHEN w.last_seq < e.seq
                THEN format('The wallet stands at entry %s, and its entries go on to number %s', w.last_seq, e.seq)
                WHEN (w.available, w.reserved, w.settled) <> (e.available_after, e.reserved_after, e.settled_after)
                THEN format('The wallet shows other figures than its last entry, number %s, left', e.seq)
                ELSE format('The wallet does not fit the hash or the time of its last entry, number %s', w.last_seq)
           END || coalesce(': ' || nullif(ledger_surpluses(w.available, coalesce(e.available_after, 0),
                                                           w.reserved, coalesce(e.reserved_after, 0),
                                                           w.settled, coalesce(e.settled_after, 0)), ''), '') || '.' AS detail
    FROM ledger_wallet w
    LEFT JOIN LATERAL (
        SELECT * FROM credit_ledger c WHERE c.wallet_id = w.id ORDER BY c.seq DESC LIMIT 1
    ) e ON true
    WHERE (w.last_seq, w.available, w.reserved, w.settled, w.prev_hash, w.head_hash, w.last_entry_at)
          IS DISTINCT FROM (coalesce(e.seq, 0), coalesce(e.available_after, 0), coalesce(e.reserved_after, 0),
                            coalesce(e.settled_after, 0), coalesce(e.prev_hash, repeat('0', 64)),
                            coalesce(e.hash, repeat('0', 64)), e.created_at);

-- Numbers without gaps, each row chained to the row before, times in order. Served by credit_ledger_seq_once.
CREATE OR REPLACE VIEW invariant_chain_intact AS
    SELECT c.entry_id AS subject,
           CASE WHEN c.seq <= c.seq_before
                THEN format('There are two entries with number %s in wallet %s; this one moves %s.', c.seq, c.wallet_id, ledger_credits(c.amount))
                WHEN c.seq = c.seq_before + 2
                THEN format('Entry %s of wallet %s is missing: this one, number %s, comes after number %s.',
                            c.seq - 1, c.wallet_id, c.seq, c.seq_before)
                WHEN c.seq > c.seq_before + 1
                THEN format('Entries %s to %s of wallet %s are missing: this one, number %s, comes after number %s.',
                            c.seq_before + 1, c.seq - 1, c.wallet_id, c.seq, c.seq_before)
                WHEN c.prev_hash <> c.hash_before
                THEN format('Entry %s of wallet %s (%s of %s) does not continue the one before: one of the two was changed or put in another''s place.',
                            c.seq, c.wallet_id, replace(c.kind, '_', ' '), ledger_credits(c.amount))
                ELSE format('Entry %s of wallet %s (%s of %s) is dated before the one before it.',
                            c.seq, c.wallet_id, replace(c.kind, '_', ' '), ledger_credits(c.amount))
           END AS detail
    FROM (
        SELECT e.entry_id, e.wallet_id, e.seq, e.created_at, e.kind, e.amount, e.prev_hash,
               coalesce(lag(e.seq) OVER w, 0) AS seq_before,
               coalesce(lag(e.hash) OVER w, repeat('0', 64)) AS hash_before,
               coalesce(lag(e.created_at) OVER w, '-infinity') AS created_before
        FROM credit_ledger e WINDOW w AS (PARTITION BY e.wallet_id ORDER BY e.seq)
    ) c
    WHERE c.seq <> c.seq_before + 1 OR c.prev_hash <> c.hash_before OR c.created_at <= c.created_before;

-- Each row by itself, so that several processes share the work: it is most of all that reconciliation does. Said as
-- `strpos(…) = 0` and not as `<>`, the planner expects few rows of it; of many it would leave them to one process.
CREATE VIEW invariant_entry_fits_hash AS
    SELECT e.entry_id AS subject,
           format('Entry %s of wallet %s (%s of %s for %s) does not fit its hash: something in it was changed after it was written.',
                  e.seq, e.wallet_id, replace(e.kind, '_', ' '), ledger_credits(e.amount), e.reference) AS detail
    FROM credit_ledger e
    WHERE strpos(e.hash, ledger_entry_hash(e.prev_hash, e.wallet_id, e.seq, e.entry_id, e.created_at, e.kind, e.amount,
                                           e.available_after, e.reserved_after, e.settled_after,
                                           e.reference, e.request_id, e.actor, e.reason)) = 0;

-- Each row's balances are those of the row before, moved by its amount. Served by credit_ledger_seq_once.
CREATE OR REPLACE VIEW invariant_entries_add_up AS
    SELECT c.entry_id AS subject,
           format('After entry %s of wallet %s (%s of %s) the balances do not follow from those before it: %s.',
                  c.seq, c.wallet_id, replace(c.kind, '_', ' '), ledger_credits(c.amount),
                  ledger_surpluses(c.available_after, c.available_due, c.reserved_after, c.reserved_due,
                                   c.settled_after, c.settled_due)) AS detail
    FROM (
        SELECT e.entry_id, e.wallet_id, e.seq, e.kind, e.amount, e.available_after, e.reserved_after, e.settled_after,
               coalesce(lag(e.available_after) OVER w, 0) + coalesce(m.available, 0) * e.amount AS available_due,
               coalesce(lag(e.reserved_after) OVER w, 0) + coalesce(m.reserved, 0) * e.amount AS reserved_due,
               coalesce(lag(e.settled_after) OVER w, 0) + coalesce(m.settled, 0) * e.amount AS settled_due
        FROM credit_ledger e LEFT JOIN ledger_movements m ON m.kind = e.kind
        WINDOW w AS (PARTITION BY e.wallet_id ORDER BY e.seq)
    ) c
    WHERE (c.available_after, c.reserved_after, c.settled_after) <> (c.available_due, c.reserved_due, c.settled_due);

CREATE OR REPLACE VIEW invariant_entry_has_request AS
    SELECT e.entry_id AS subject,
           format('The %s of %s (%s) has no approved request: nobody is known to have allowed it.',
                  replace(e.kind, '_', ' '), ledger_credits(e.amount), e.reference) AS detail
    FROM credit_ledger e
    WHERE e.kind IN ('grant', 'adjustment_in', 'adjustment_out')
      AND NOT EXISTS (SELECT FROM ledger_creditrequest r
                      WHERE r.reference = e.reference AND r.state = 'approved'
                        AND (r.wallet_id, r.kind, r.amount) = (e.wallet_id, e.kind, e.amount))
    UNION ALL
    SELECT r.id, format('The %s of %s (%s) was approved, and is not in the ledger.',
                        replace(r.kind, '_', ' '), ledger_credits(r.amount), r.reference)
    FROM ledger_creditrequest r
    WHERE r.state = 'approved'
      AND NOT EXISTS (SELECT FROM credit_ledger e
                      WHERE e.reference = r.reference AND (e.wallet_id, e.kind, e.amount) = (r.wallet_id, r.kind, r.amount));

-- What was closed stays as it was. An entry that is dated into a closed month and numbered after its end is looked for
-- behind each wallet's last closed month only: the hashes of the later months keep the earlier ones.
CREATE OR REPLACE VIEW invariant_closed_periods AS
    SELECT b.wallet_id AS subject,
           format('%s was closed with %s available, %s reserved and %s settled after entry %s of this wallet, which %s.',
                  b.period_id, ledger_figure(b.available), ledger_figure(b.reserved), ledger_figure(b.settled), b.last_seq,
                  CASE WHEN e.seq IS NULL THEN 'is missing now'
                       WHEN e.hash <> b.head_hash THEN 'is another one now'
                       WHEN e.created_at >= p.ends_at THEN 'is dated after the month now'
                       ELSE format('left %s, %s and %s', ledger_figure(e.available_after), ledger_figure(e.reserved_after),
                                   ledger_figure(e.settled_after)) END) AS detail
    FROM ledger_periodbalance b
    JOIN ledger_period p ON p.month = b.period_id
    LEFT JOIN credit_ledger e ON e.wallet_id = b.wallet_id AND e.seq = b.last_seq
    WHERE (b.last_seq, b.available, b.reserved, b.settled, b.head_hash)
          IS DISTINCT FROM (coalesce(e.seq, 0), coalesce(e.available_after, 0), coalesce(e.reserved_after, 0),
                            coalesce(e.settled_after, 0), coalesce(e.hash, repeat('0', 64)))
       OR e.created_at >= p.ends_at
    UNION ALL
    SELECT e.entry_id,
           format('Entry %s of wallet %s (%s of %s) is dated into %s or before, and was not there when that month was closed.',
                  e.seq, e.wallet_id, replace(e.kind, '_', ' '), ledger_credits(e.amount), c.month)
    FROM (
        SELECT DISTINCT ON (b.wallet_id) b.wallet_id, p.month, p.ends_at, b.last_seq
        FROM ledger_periodbalance b JOIN ledger_period p ON p.month = b.period_id
        ORDER BY b.wallet_id, p.ends_at DESC
    ) c
    JOIN credit_ledger e ON e.wallet_id = c.wallet_id AND e.seq > c.last_seq AND e.created_at < c.ends_at;

CREATE OR REPLACE VIEW invariant_seals_hold AS
    SELECT l.wallet_id AS subject,
           format('Seal %s was made when entry %s was the last of this wallet; that entry is %s.', l.seal_id, l.seq,
                  CASE WHEN e.hash IS NULL THEN 'missing now: the end of the history was cut off'
                       ELSE 'another one now: the history was rewritten' END) AS detail
    FROM ledger_sealleaf l
    LEFT JOIN credit_ledger e ON e.wallet_id = l.wallet_id AND e.seq = l.seq
    WHERE e.hash IS DISTINCT FROM l.head_hash;

-- --- batches and their entries --------------------------------------------------------------------------------------

-- A batch's entries are its reserve, and once it is final its settle and refund. Also read at every commit that makes
-- or ends a batch, one batch at a time: the condition on `subject` goes through the grouping down to
-- credit_ledger_once.
CREATE OR REPLACE VIEW invariant_batch_credits AS
    SELECT b.id AS subject,
           format('The %s batch must have reserved %s, settled %s and refunded %s; the ledger has reserved %s, settled %s and refunded %s: '
                  '%s unexplained.', b.state, ledger_figure(b.credits), ledger_figure(b.settled), ledger_figure(b.refunded),
                  ledger_figure(coalesce(l.reserved, 0)), ledger_figure(coalesce(l.settled, 0)), ledger_figure(coalesce(l.refunded, 0)),
                  ledger_credits(greatest(abs(coalesce(l.reserved, 0) - b.credits), abs(coalesce(l.settled, 0) - b.settled),
                                          abs(coalesce(l.refunded, 0) - b.refunded)))) AS detail
    FROM batches_batch b
    LEFT JOIN (
        SELECT e.reference, e.wallet_id,
               sum(e.amount) FILTER (WHERE e.kind = 'reserve') AS reserved,
               sum(e.amount) FILTER (WHERE e.kind = 'settle') AS settled,
               sum(e.amount) FILTER (WHERE e.kind = 'refund') AS refunded
        FROM credit_ledger e GROUP BY e.reference, e.wallet_id
    ) l ON l.reference = b.id AND l.wallet_id = b.wallet_id
    WHERE (coalesce(l.reserved, 0), coalesce(l.settled, 0), coalesce(l.refunded, 0)) <> (b.credits, b.settled, b.refunded)
       OR b.state IN ('completed', 'partial', 'failed') AND b.credits <> b.settled + b.refunded;

-- A batch's figures are those of its items: settled the succeeded ones' prices, refunded the others'.
CREATE OR REPLACE VIEW invariant_batch_items AS
    SELECT b.id AS subject,
           format('The %s batch of %s items and %s %s.', b.state, b.total, ledger_credits(b.credits), concat_ws(', ',
                  CASE WHEN i.total <> b.total THEN format('has %s items', i.total) END,
                  CASE WHEN i.credits <> b.credits THEN format('has items that cost %s', ledger_credits(i.credits)) END,
                  CASE WHEN b.finished_at IS NOT NULL AND i.open > 0 THEN format('has %s items that have not ended', i.open) END,
                  CASE WHEN b.finished_at IS NOT NULL AND i.failed > 0 THEN format('has %s failed items that are not refunded', i.failed) END,
                  CASE WHEN b.finished_at IS NULL AND i.refunded > 0 THEN format('has %s items that are refunded before its end', i.refunded) END,
                  CASE WHEN i.succeeded <> b.succeeded THEN format('counts %s succeeded items and has %s', b.succeeded, i.succeeded) END,
                  CASE WHEN i.refunded <> b.failed THEN format('counts %s failed items and has %s refunded ones', b.failed, i.refunded) END,
                  CASE WHEN b.finished_at IS NOT NULL AND i.succeeded_credits <> b.settled
                       THEN format('charged %s for items of %s', ledger_credits(b.settled), ledger_credits(i.succeeded_credits)) END,
                  CASE WHEN b.finished_at IS NOT NULL AND i.refunded_credits <> b.refunded
                       THEN format('gave back %s for items of %s', ledger_credits(b.refunded), ledger_credits(i.refunded_credits)) END,
                  CASE WHEN b.state = 'completed' AND i.refunded > 0 OR b.state = 'failed' AND i.succeeded > 0
                            OR b.state = 'partial' AND (i.succeeded = 0 OR i.refunded = 0)
                       THEN format('has %s succeeded and %s refunded items', i.succeeded, i.refunded) END)) AS detail
    FROM batches_batch b
    JOIN (
        SELECT batch_id, count(*) AS total, sum(credits) AS credits,
               count(*) FILTER (WHERE status IN ('pending', 'running')) AS open,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
               coalesce(sum(credits) FILTER (WHERE status = 'succeeded'), 0) AS succeeded_credits,
               count(*) FILTER (WHERE status = 'refunded') AS refunded,
               coalesce(sum(credits) FILTER (WHERE status = 'refunded'), 0) AS refunded_credits
        FROM batches_item GROUP BY batch_id
    ) i ON i.batch_id = b.id
    WHERE i.total <> b.total OR i.credits <> b.credits
       OR b.state IN ('queued', 'processing') AND i.refunded > 0
       OR b.state IN ('completed', 'partial', 'failed') AND (
              i.open + i.failed > 0 OR i.succeeded <> b.succeeded OR i.refunded <> b.failed
              OR i.succeeded_credits <> b.settled OR i.refunded_credits <> b.refunded
              OR b.state <> CASE WHEN i.refunded = 0 THEN 'completed' WHEN i.succeeded = 0 THEN 'failed' ELSE 'partial' END);

CREATE OR REPLACE VIEW invariant_batch_has_items AS
    SELECT b.id AS subject, format('The %s batch of %s items and %s has no item.', b.state, b.total, ledger_credits(b.credits)) AS detail
    FROM batches_batch b WHERE NOT EXISTS (SELECT FROM batches_item i WHERE i.batch_id = b.id);

-- What each item says of its end fits its batch's. Served by batches_item_open, batches_item_failed, batches_batch_open.
CREATE VIEW invariant_item_ends_with_batch AS
    SELECT i.id AS subject,
           CASE i.status WHEN 'refunded' THEN format('Item %s of %s is marked as refunded (%s), and its batch is still %s.',
                                                     i.index, i.batch_id, ledger_credits(i.credits), b.state)
                         WHEN 'failed' THEN format('Item %s of %s failed, and its %s were not given back when the batch ended.',
                                                   i.index, i.batch_id, ledger_credits(i.credits))
                         ELSE format('Item %s of %s is still %s (%s), and its batch is %s.',
                                     i.index, i.batch_id, i.status, ledger_credits(i.credits), b.state) END AS detail
    FROM batches_item i JOIN batches_batch b ON b.id = i.batch_id
    WHERE i.status IN ('pending', 'running') AND b.state IN ('completed', 'partial', 'failed')
       OR i.status = 'failed' AND b.state IN ('completed', 'partial', 'failed')
       OR i.status = 'refunded' AND b.state IN ('queued', 'processing');

-- What a wallet holds is what its open batches cost. Served by batches_batch_open.
CREATE OR REPLACE VIEW invariant_held_by_open_batches AS
    SELECT w.id AS subject,
           format('The wallet holds %s, and its open batches cost %s: %s.', ledger_credits(w.reserved), ledger_figure(coalesce(b.credits, 0)),
                  ledger_surplus(w.reserved, coalesce(b.credits, 0), 'reserved')) AS detail
    FROM ledger_wallet w
    LEFT JOIN (
        SELECT wallet_id, sum(credits) AS credits FROM batches_batch WHERE state IN ('queued', 'processing') GROUP BY wallet_id
    ) b ON b.wallet_id = w.id
    WHERE w.reserved <> coalesce(b.credits, 0);

-- Credits are held, charged and given back for batches that exist, and there is no other kind.
CREATE OR REPLACE VIEW invariant_entry_has_batch AS
    SELECT e.entry_id AS subject,
           format('The %s of %s is for %s, %s.', e.kind, ledger_credits(e.amount), e.reference,
                  CASE WHEN b.id IS NULL THEN 'which is no batch'
                       WHEN b.wallet_id <> e.wallet_id THEN 'which is a batch of another wallet'
                       ELSE 'and there is no such kind of entry' END) AS detail
    FROM credit_ledger e
    LEFT JOIN batches_batch b ON b.id = e.reference
    WHERE e.kind NOT IN ('grant', 'adjustment_in', 'adjustment_out')
      AND (b.wallet_id IS DISTINCT FROM e.wallet_id OR e.kind NOT IN ('reserve', 'settle', 'refund'));

-- What an entry moved is what the items cost for which it was made: all of them, the succeeded, the failed ones.
CREATE VIEW invariant_entry_fits_items AS
    SELECT e.entry_id AS subject,
           CASE WHEN e.kind = 'settle' AND i.succeeded IS NULL
                THEN format('The settle charged %s for %s, of whose items none has succeeded.', ledger_credits(e.amount), e.reference)
                WHEN e.kind = 'refund' AND i.refunded IS NULL
                THEN format('The refund gave %s back for %s, of whose items none has failed and was refunded.', ledger_credits(e.amount), e.reference)
                WHEN e.kind = 'settle'
                THEN format('The settle charged %s for %s, whose succeeded items cost %s: %s.', ledger_credits(e.amount), e.reference,
                            ledger_figure(i.succeeded), ledger_surplus(e.amount, i.succeeded, 'charged'))
                WHEN e.kind = 'refund'
                THEN format('The refund gave %s back for %s, whose failed items cost %s: %s.', ledger_credits(e.amount), e.reference,
                            ledger_figure(i.refunded), ledger_surplus(e.amount, i.refunded, 'given back'))
                ELSE format('The reserve held %s for %s, whose items cost %s: %s.', ledger_credits(e.amount), e.reference,
                            ledger_figure(i.credits), ledger_surplus(e.amount, i.credits, 'held')) END AS detail
    FROM credit_ledger e
    JOIN (
        SELECT batch_id, sum(credits) AS credits,
               sum(credits) FILTER (WHERE status = 'succeeded') AS succeeded,
               sum(credits) FILTER (WHERE status = 'refunded') AS refunded
        FROM batches_item GROUP BY batch_id
    ) i ON i.batch_id = e.reference
    WHERE e.kind IN ('reserve', 'settle', 'refund')
      AND e.amount IS DISTINCT FROM CASE e.kind WHEN 'reserve' THEN i.credits WHEN 'settle' THEN i.succeeded ELSE i.refunded END;

CREATE OR REPLACE VIEW invariant_charged_item_has_output AS
    SELECT i.id AS subject,
           format('Item %s of %s counts as succeeded for %s, and no video of it is stored.', i.index, i.batch_id, ledger_credits(i.credits)) AS detail
    FROM batches_item i
    WHERE i.status = 'succeeded' AND NOT EXISTS (SELECT FROM batches_output o WHERE o.item_id = i.id);

-- --- what customers can prove ---------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW invariant_final_batch_has_proof AS
    SELECT b.id AS subject,
           format('The %s batch of %s has %s.', b.state, ledger_credits(b.credits), concat_ws(' and ',
                  CASE WHEN p.batch_id IS NULL THEN 'no proof' END,
                  CASE WHEN v.count IS DISTINCT FROM 1 THEN format('%s batch.completed events', coalesce(v.count, 0)) END)) AS detail
    FROM batches_batch b
    LEFT JOIN batches_proof p ON p.batch_id = b.id
    LEFT JOIN (
        SELECT reference, count(*) AS count FROM webhooks_event WHERE type = 'batch.completed' GROUP BY reference
    ) v ON v.reference = b.id
    WHERE b.state IN ('completed', 'partial', 'failed') AND (p.batch_id IS NULL OR v.count IS DISTINCT FROM 1);

-- Canonical JSON has one form, and a quote inside of a text is escaped there: so its parts can be looked for as text.
CREATE VIEW invariant_proof_fits_batch AS
    SELECT b.id AS subject, f.fault AS detail
    FROM batches_batch b
    JOIN batches_proof p ON p.batch_id = b.id
    LEFT JOIN webhooks_event v ON v.reference = b.id AND v.type = 'batch.completed'
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN p.sha256 <> encode(sha256(convert_to(p.body, 'UTF8')), 'hex')
            THEN 'The text of the proof does not fit its hash: one of the two was changed.'
            WHEN strpos(v.body, format('"sha256": "%s"', p.sha256)) = 0
            THEN 'The webhook carries the hash of another proof.'
            WHEN strpos(p.body, format('{"batch_id":"%s","entries":', b.id)) <> 1
            THEN 'The proof is that of another batch.'
            WHEN strpos(p.body, format('"ledger":{"refunded":%s,"reserved":%s,"settled":%s}', b.refunded, b.credits, b.settled)) = 0
            THEN format('The proof says other credits than the batch, which reserved %s, settled %s and refunded %s.',
                        ledger_figure(b.credits), ledger_figure(b.settled), ledger_figure(b.refunded))
            WHEN strpos(p.body, format('"state":"%s","summary":{"failed":%s,"succeeded":%s,"total":%s}', b.state, b.failed, b.succeeded, b.total)) = 0
            THEN format('The proof says another end than the batch, which is %s with %s succeeded and %s failed items.', b.state, b.succeeded, b.failed)
        END AS fault
    ) f
    WHERE f.fault IS NOT NULL;

CREATE VIEW invariant_entry_in_proof AS
    SELECT e.entry_id AS subject,
           format('The %s of %s for %s is not the one that the proof of its batch shows.', e.kind, ledger_credits(e.amount), e.reference) AS detail
    FROM credit_ledger e
    JOIN batches_proof p ON p.batch_id = e.reference
    WHERE e.kind IN ('reserve', 'settle', 'refund') AND strpos(p.body, format('"hash":"%s"', e.hash)) = 0;

-- The same text as in batches.proofs.
CREATE VIEW invariant_items_fit_proof AS
    SELECT p.batch_id AS subject, 'The items are not those that the proof was made over: one of them was changed after the end.' AS detail
    FROM batches_proof p
    JOIN (
        SELECT batch_id, encode(sha256(convert_to(string_agg(
                   '{"credits":' || credits || ',"id":"' || id || '","index":' || index || ',"status":"' || status || E'"}\n',
                   '' ORDER BY index), 'UTF8')), 'hex') AS sha256
        FROM batches_item GROUP BY batch_id
    ) i ON i.batch_id = p.batch_id
    WHERE strpos(p.body, format('"items_sha256":"%s"', i.sha256)) = 0;

CREATE VIEW invariant_end_is_told AS
    SELECT b.id AS subject, format('The %s batch was to be told to %s, and no delivery to there exists.', b.state, b.webhook_url) AS detail
    FROM batches_batch b
    JOIN webhooks_event v ON v.reference = b.id AND v.type = 'batch.completed'
    WHERE b.webhook_url <> ''
      AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.event_id = v.id AND d.url = b.webhook_url);
