-- At commit an entry that says what its batch says is let through after one look: there is one of each kind per
-- reference, entries never change, and who changes a batch's figures is checked by batches_batch_balanced. Only what
-- differs is held against the view, which names the fault.
CREATE OR REPLACE FUNCTION batches_refuse_foreign_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said bigint;
    fault text;
BEGIN
    SELECT CASE NEW.kind WHEN 'reserve' THEN b.credits WHEN 'settle' THEN b.settled ELSE b.refunded END
    INTO said FROM batches_batch b WHERE b.id = NEW.reference AND b.wallet_id = NEW.wallet_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% for %, which is no batch of this wallet', NEW.kind, NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_entry_has_batch';
    ELSIF said = NEW.amount THEN
        RETURN NULL;
    END IF;
    SELECT detail INTO fault FROM invariant_batch_credits WHERE subject = NEW.reference;
    IF FOUND THEN
        RAISE EXCEPTION '%: %', NEW.reference, fault
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_batch_balanced';
    END IF;
    RETURN NULL;
END $$;

-- What decides at commit must not take somebody's temporary table for one of ours.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION batches_refuse_foreign_entry() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION batches_refuse_unbalanced() SET search_path = %I, pg_temp', current_schema());
END $$;
