-- Each invariant is one view that must return no row. `subject` is the id of the row that is wrong, `detail` says how.

CREATE VIEW invariant_wallet_equals_entries AS
    SELECT w.id AS subject,
           format('buckets %s / %s / %s, entries add up to %s / %s / %s', w.available, w.reserved, w.settled,
                  e.available, e.reserved, e.settled) AS detail
    FROM ledger_wallet w
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(m.available * c.amount), 0) AS available,
               coalesce(sum(m.reserved * c.amount), 0) AS reserved,
               coalesce(sum(m.settled * c.amount), 0) AS settled
        FROM credit_ledger c CROSS JOIN LATERAL ledger_movement(c.kind) m
        WHERE c.wallet_id = w.id
    ) e
    WHERE (w.available, w.reserved, w.settled) IS DISTINCT FROM (e.available, e.reserved, e.settled);

CREATE VIEW invariant_wallet_equals_last_entry AS
    SELECT w.id AS subject,
           format('wallet is at entry %s with %s / %s / %s, its last entry is %s with %s / %s / %s', w.last_seq,
                  w.available, w.reserved, w.settled, e.seq, e.available_after, e.reserved_after, e.settled_after) AS detail
    FROM ledger_wallet w
    LEFT JOIN LATERAL (
        SELECT * FROM credit_ledger c WHERE c.wallet_id = w.id ORDER BY c.seq DESC LIMIT 1
    ) e ON true
    WHERE (w.last_seq, w.available, w.reserved, w.settled, w.head_hash)
          IS DISTINCT FROM (coalesce(e.seq, 0), coalesce(e.available_after, 0), coalesce(e.reserved_after, 0),
                            coalesce(e.settled_after, 0), coalesce(e.hash, repeat('0', 64)));

-- Numbers without gaps, each row's hash right over its content, and chained to the row before; times in order.
CREATE VIEW invariant_chain_intact AS
    SELECT c.entry_id AS subject,
           CASE WHEN c.seq <> c.expected_seq THEN format('entry %s of wallet %s where %s was due', c.seq, c.wallet_id, c.expected_seq)
                WHEN c.prev_hash <> c.expected_prev THEN format('entry %s of wallet %s does not continue the one before', c.seq, c.wallet_id)
                WHEN c.created_at <= c.previous_at THEN format('entry %s of wallet %s is dated before the one before', c.seq, c.wallet_id)
                ELSE format('the content of entry %s of wallet %s does not fit its hash', c.seq, c.wallet_id) END AS detail
    FROM (
        SELECT e.*,
               coalesce(lag(e.seq) OVER w, 0) + 1 AS expected_seq,
               coalesce(lag(e.hash) OVER w, repeat('0', 64)) AS expected_prev,
               coalesce(lag(e.created_at) OVER w, '-infinity') AS previous_at
        FROM credit_ledger e WINDOW w AS (PARTITION BY e.wallet_id ORDER BY e.seq)
    ) c
    WHERE c.seq <> c.expected_seq OR c.prev_hash <> c.expected_prev OR c.created_at <= c.previous_at
       OR c.hash <> ledger_entry_hash(c.prev_hash, c.wallet_id, c.seq, c.entry_id, c.created_at, c.kind, c.amount,
                                      c.available_after, c.reserved_after, c.settled_after,
                                      c.reference, c.request_id, c.actor, c.reason);

-- Each row's balances are those of the row before, moved by its amount.
CREATE VIEW invariant_entries_add_up AS
    SELECT c.entry_id AS subject,
           format('entry %s of wallet %s: balances after it do not follow from those before', c.seq, c.wallet_id) AS detail
    FROM (
        SELECT e.*, m.available AS move_available, m.reserved AS move_reserved, m.settled AS move_settled,
               coalesce(lag(e.available_after) OVER w, 0) AS available_before,
               coalesce(lag(e.reserved_after) OVER w, 0) AS reserved_before,
               coalesce(lag(e.settled_after) OVER w, 0) AS settled_before
        FROM credit_ledger e CROSS JOIN LATERAL ledger_movement(e.kind) m
        WINDOW w AS (PARTITION BY e.wallet_id ORDER BY e.seq)
    ) c
    WHERE c.available_after <> c.available_before + c.move_available * c.amount
       OR c.reserved_after <> c.reserved_before + c.move_reserved * c.amount
       OR c.settled_after <> c.settled_before + c.move_settled * c.amount;
