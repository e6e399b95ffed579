-- Each invariant is one view that must return no row. `subject` is the id of the row that is wrong, `detail` says how.

-- A batch's entries are its reserve, and once it is final its settle and refund. Also read at every commit that makes
-- or ends a batch, one batch at a time: served by credit_ledger_by_reference.
CREATE VIEW invariant_batch_credits AS
    SELECT b.id AS subject,
           format('%s batch of %s credits: ledger has reserved %s, settled %s, refunded %s; the batch says %s and %s',
                  b.state, b.credits, l.reserved, l.settled, l.refunded, b.settled, b.refunded) AS detail
    FROM batches_batch b
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount) FILTER (WHERE e.kind = 'reserve'), 0) AS reserved,
               coalesce(sum(e.amount) FILTER (WHERE e.kind = 'settle'), 0) AS settled,
               coalesce(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) AS refunded
        FROM credit_ledger e WHERE e.reference = b.id AND e.wallet_id = b.wallet_id
    ) l
    WHERE l.reserved <> b.credits OR l.settled <> b.settled OR l.refunded <> b.refunded
       OR b.state IN ('completed', 'partial', 'failed') AND l.reserved <> l.settled + l.refunded;

-- A batch's figures are those of its items: settled the succeeded ones' prices, refunded the others'.
CREATE VIEW invariant_batch_items AS
    SELECT b.id AS subject,
           format('%s batch of %s items and %s credits: has %s items of %s credits, %s open, %s failed and not refunded, '
                  '%s succeeded (%s credits), %s refunded (%s credits)', b.state, b.total, b.credits, i.total, i.credits,
                  i.open, i.failed, i.succeeded, i.succeeded_credits, i.refunded, i.refunded_credits) AS detail
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

CREATE VIEW invariant_batch_has_items AS
    SELECT b.id AS subject, format('batch of %s items has none', b.total) AS detail
    FROM batches_batch b WHERE NOT EXISTS (SELECT FROM batches_item i WHERE i.batch_id = b.id);

-- What a wallet holds is what its open batches cost.
CREATE VIEW invariant_held_by_open_batches AS
    SELECT w.id AS subject, format('holds %s credits, its open batches cost %s', w.reserved, coalesce(b.credits, 0)) AS detail
    FROM ledger_wallet w
    LEFT JOIN (
        SELECT wallet_id, sum(credits) AS credits FROM batches_batch WHERE state IN ('queued', 'processing') GROUP BY wallet_id
    ) b ON b.wallet_id = w.id
    WHERE w.reserved <> coalesce(b.credits, 0);

-- Credits are held, charged and given back for batches that exist.
CREATE VIEW invariant_entry_has_batch AS
    SELECT e.entry_id AS subject, format('%s of %s credits for %s, which is no batch of this wallet', e.kind, e.amount, e.reference) AS detail
    FROM credit_ledger e
    WHERE e.kind IN ('reserve', 'settle', 'refund')
      AND NOT EXISTS (SELECT FROM batches_batch b WHERE b.id = e.reference AND b.wallet_id = e.wallet_id);

CREATE VIEW invariant_charged_item_has_output AS
    SELECT i.id AS subject, format('item %s of %s succeeded for %s credits, and no video is stored', i.index, i.batch_id, i.credits) AS detail
    FROM batches_item i
    WHERE i.status = 'succeeded' AND NOT EXISTS (SELECT FROM batches_output o WHERE o.item_id = i.id);

CREATE VIEW invariant_final_batch_has_proof AS
    SELECT b.id AS subject, 'final, and has no proof or more or less than one batch.completed event' AS detail
    FROM batches_batch b
    WHERE b.state IN ('completed', 'partial', 'failed')
      AND (NOT EXISTS (SELECT FROM batches_proof p WHERE p.batch_id = b.id)
           OR (SELECT count(*) FROM webhooks_event e WHERE e.reference = b.id AND e.type = 'batch.completed') <> 1);

CREATE FUNCTION batches_refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fault text;
BEGIN
    SELECT detail INTO fault FROM invariant_batch_credits WHERE subject = NEW.id;
    IF FOUND THEN
        RAISE EXCEPTION '%: %', NEW.id, fault USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_batch_balanced';
    END IF;
    RETURN NULL;
END $$;

-- Also when an entry is posted by hand: credits are held, charged and given back for a batch, and as it says.
CREATE FUNCTION batches_refuse_foreign_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fault text;
BEGIN
    PERFORM FROM batches_batch b WHERE b.id = NEW.reference AND b.wallet_id = NEW.wallet_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% for %, which is no batch of this wallet', NEW.kind, NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_entry_has_batch';
    END IF;
    SELECT detail INTO fault FROM invariant_batch_credits WHERE subject = NEW.reference;
    IF FOUND THEN
        RAISE EXCEPTION '%: %', NEW.reference, fault
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_batch_balanced';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER batches_entry_has_batch AFTER INSERT ON credit_ledger
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind IN ('reserve', 'settle', 'refund'))
    EXECUTE FUNCTION batches_refuse_foreign_entry();
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER batches_entry_has_batch;

CREATE CONSTRAINT TRIGGER batches_batch_balanced AFTER INSERT OR UPDATE OF state, settled, refunded ON batches_batch
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION batches_refuse_unbalanced();
ALTER TABLE batches_batch ENABLE ALWAYS TRIGGER batches_batch_balanced;
