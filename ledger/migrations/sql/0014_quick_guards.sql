-- The same guards by the columns that an update names: a condition is read from its text with each statement, as a check
-- of the table is, and with each posting that cost as much as the posting.
DROP TRIGGER ledger_wallet_no_direct_change ON ledger_wallet;
CREATE TRIGGER ledger_wallet_no_direct_change
    BEFORE UPDATE OF id, organization_id, mode, available, reserved, settled, last_seq, last_entry_at, prev_hash, head_hash,
                     closed_until, created_at
    ON ledger_wallet FOR EACH ROW WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION ledger_refuse_direct();
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_direct_change;

DROP TRIGGER ledger_wallet_has_its_entry ON ledger_wallet;
CREATE CONSTRAINT TRIGGER ledger_wallet_has_its_entry
    AFTER UPDATE OF available, reserved, settled, last_seq, prev_hash, head_hash ON ledger_wallet
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_refuse_movement_without_entry();
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_has_its_entry;

-- A pattern is read faster than a list.
DROP TRIGGER ledger_entry_has_request ON credit_ledger;
CREATE CONSTRAINT TRIGGER ledger_entry_has_request AFTER INSERT ON credit_ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.kind ~ '^(grant|adjustment)') EXECUTE FUNCTION ledger_refuse_entry_without_request();
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_entry_has_request;
