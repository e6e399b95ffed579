-- What is signed off is what the ledger says of a batch that has ended, and its proof: whoever writes the row.
CREATE FUNCTION batches_refuse_unfit_sign_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM batches_batch b
    JOIN batches_proof p ON p.batch_id = b.id AND p.sha256 = NEW.proof_sha256
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount) FILTER (WHERE e.kind = 'reserve'), 0) AS reserved,
               coalesce(sum(e.amount) FILTER (WHERE e.kind = 'settle'), 0) AS settled,
               coalesce(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) AS refunded
        FROM credit_ledger e WHERE e.wallet_id = b.wallet_id AND e.reference = b.id
    ) posted
    WHERE b.id = NEW.batch_id AND b.state IN ('completed', 'partial', 'failed')
      AND (posted.reserved, posted.settled, posted.refunded) = (NEW.reserved, NEW.settled, NEW.refunded)
      AND (b.credits, b.settled, b.refunded) = (NEW.reserved, NEW.settled, NEW.refunded);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the sign-off of % does not fit its ledger entries', NEW.batch_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batches_signoff_fits_books';
    END IF;
    RETURN NEW;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION batches_refuse_unfit_sign_off() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE TRIGGER batches_signoff_fits_books BEFORE INSERT ON batches_signoff
    FOR EACH ROW EXECUTE FUNCTION batches_refuse_unfit_sign_off();
CREATE TRIGGER batches_signoff_no_change BEFORE UPDATE OR DELETE ON batches_signoff FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_signoff_no_change', 'a sign-off never changes');
CREATE TRIGGER batches_signoff_no_truncate BEFORE TRUNCATE ON batches_signoff FOR EACH STATEMENT
    EXECUTE FUNCTION batches_refuse('batches_signoff_no_truncate', 'sign-offs are kept');

ALTER TABLE batches_signoff ENABLE ALWAYS TRIGGER batches_signoff_fits_books;
ALTER TABLE batches_signoff ENABLE ALWAYS TRIGGER batches_signoff_no_change;
ALTER TABLE batches_signoff ENABLE ALWAYS TRIGGER batches_signoff_no_truncate;
