-- Keys that are checked at once, not at commit: COPY of the items is done with them before any wallet is locked.
ALTER TABLE batches_item ADD CONSTRAINT batches_item_batch_exists
    FOREIGN KEY (batch_id) REFERENCES batches_batch (id) NOT DEFERRABLE;
ALTER TABLE batches_attempt ADD CONSTRAINT batches_attempt_item_exists
    FOREIGN KEY (item_id) REFERENCES batches_item (id) NOT DEFERRABLE;
ALTER TABLE batches_output ADD CONSTRAINT batches_output_item_exists
    FOREIGN KEY (item_id) REFERENCES batches_item (id) NOT DEFERRABLE;

-- A batch is paid by the wallet of its own organization and mode.
CREATE UNIQUE INDEX ledger_wallet_owner ON ledger_wallet (id, organization_id, mode);
ALTER TABLE batches_batch ADD CONSTRAINT batches_batch_wallet_is_its_own
    FOREIGN KEY (wallet_id, organization_id, mode) REFERENCES ledger_wallet (id, organization_id, mode) NOT DEFERRABLE;

CREATE FUNCTION batches_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[1]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_ARGV[0];
END $$;

-- The first terminal outcome of an item wins, for good; only finalizing turns failed into refunded.
CREATE TRIGGER batches_item_outcome_is_final BEFORE UPDATE ON batches_item FOR EACH ROW
    WHEN (OLD.status IN ('succeeded', 'failed', 'refunded')
          AND NOT (OLD.status = 'failed' AND NEW.status = 'refunded' AND NEW.failure_type = OLD.failure_type))
    EXECUTE FUNCTION batches_refuse('batches_item_outcome_is_final', 'the item has ended');
CREATE TRIGGER batches_item_status_moves BEFORE UPDATE ON batches_item FOR EACH ROW
    WHEN (OLD.status = 'pending' AND NEW.status IN ('succeeded', 'refunded')
          OR OLD.status = 'running' AND NEW.status IN ('pending', 'refunded'))
    EXECUTE FUNCTION batches_refuse('batches_item_status_moves', 'no such move');
-- What was accepted and priced does not change.
CREATE TRIGGER batches_item_terms_are_fixed BEFORE UPDATE ON batches_item FOR EACH ROW
    WHEN ((OLD.batch_id, OLD.index, OLD.credits, OLD.model, OLD.seconds, OLD.size, OLD.prompt)
          IS DISTINCT FROM (NEW.batch_id, NEW.index, NEW.credits, NEW.model, NEW.seconds, NEW.size, NEW.prompt))
    EXECUTE FUNCTION batches_refuse('batches_item_terms_are_fixed', 'what was accepted and priced does not change');
CREATE TRIGGER batches_item_no_delete BEFORE DELETE ON batches_item FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_item_no_delete', 'records are kept');

CREATE TRIGGER batches_batch_end_is_final BEFORE UPDATE ON batches_batch FOR EACH ROW
    WHEN (OLD.state IN ('completed', 'partial', 'failed'))
    EXECUTE FUNCTION batches_refuse('batches_batch_end_is_final', 'the batch is final');
CREATE TRIGGER batches_batch_state_moves BEFORE UPDATE ON batches_batch FOR EACH ROW
    WHEN (OLD.state = 'processing' AND NEW.state = 'queued')
    EXECUTE FUNCTION batches_refuse('batches_batch_state_moves', 'no such move');
CREATE TRIGGER batches_batch_terms_are_fixed BEFORE UPDATE ON batches_batch FOR EACH ROW
    WHEN ((OLD.organization_id, OLD.mode, OLD.wallet_id, OLD.request_id, OLD.total, OLD.credits)
          IS DISTINCT FROM (NEW.organization_id, NEW.mode, NEW.wallet_id, NEW.request_id, NEW.total, NEW.credits))
    EXECUTE FUNCTION batches_refuse('batches_batch_terms_are_fixed', 'what was accepted and priced does not change');
CREATE TRIGGER batches_batch_no_delete BEFORE DELETE ON batches_batch FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_batch_no_delete', 'records are kept');
CREATE TRIGGER batches_output_no_delete BEFORE DELETE ON batches_output FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_output_no_delete', 'records are kept');
CREATE TRIGGER batches_proof_no_change BEFORE UPDATE OR DELETE ON batches_proof FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_proof_no_change', 'a proof never changes');

ALTER TABLE batches_item ENABLE ALWAYS TRIGGER batches_item_outcome_is_final;
ALTER TABLE batches_item ENABLE ALWAYS TRIGGER batches_item_status_moves;
ALTER TABLE batches_item ENABLE ALWAYS TRIGGER batches_item_terms_are_fixed;
ALTER TABLE batches_item ENABLE ALWAYS TRIGGER batches_item_no_delete;
ALTER TABLE batches_batch ENABLE ALWAYS TRIGGER batches_batch_end_is_final;
ALTER TABLE batches_batch ENABLE ALWAYS TRIGGER batches_batch_state_moves;
ALTER TABLE batches_batch ENABLE ALWAYS TRIGGER batches_batch_terms_are_fixed;
ALTER TABLE batches_batch ENABLE ALWAYS TRIGGER batches_batch_no_delete;
ALTER TABLE batches_output ENABLE ALWAYS TRIGGER batches_output_no_delete;
ALTER TABLE batches_proof ENABLE ALWAYS TRIGGER batches_proof_no_change;
