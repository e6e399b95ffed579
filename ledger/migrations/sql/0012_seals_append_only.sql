-- A seal is history: it never changes, and what it sealed stays.
CREATE TRIGGER ledger_seal_no_change BEFORE UPDATE OR DELETE ON ledger_seal
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_seal_no_truncate BEFORE TRUNCATE ON ledger_seal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_sealleaf_no_change BEFORE UPDATE OR DELETE ON ledger_sealleaf
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_sealleaf_no_truncate BEFORE TRUNCATE ON ledger_sealleaf
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_seal ENABLE ALWAYS TRIGGER ledger_seal_no_change;
ALTER TABLE ledger_seal ENABLE ALWAYS TRIGGER ledger_seal_no_truncate;
ALTER TABLE ledger_sealleaf ENABLE ALWAYS TRIGGER ledger_sealleaf_no_change;
ALTER TABLE ledger_sealleaf ENABLE ALWAYS TRIGGER ledger_sealleaf_no_truncate;

CREATE VIEW invariant_seals_hold AS
    SELECT l.wallet_id AS subject,
           format('seal %s was made over entry %s of this wallet, which is %s', l.seal_id, l.seq,
                  CASE WHEN e.hash IS NULL THEN 'missing' ELSE 'another now' END) AS detail
    FROM ledger_sealleaf l
    LEFT JOIN credit_ledger e ON e.wallet_id = l.wallet_id AND e.seq = l.seq
    WHERE e.hash IS DISTINCT FROM l.head_hash;
