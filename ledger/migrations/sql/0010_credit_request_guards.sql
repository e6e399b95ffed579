-- No credit comes in or goes out without an approved request. What came in before there were requests was a pilot's
-- promotional credits or a sandbox's play money.
INSERT INTO ledger_creditrequest (id, wallet_id, kind, amount, reference, about, request_id, reason, evidence_url, basis,
                                  state, requested_at, decided_at, note)
SELECT 'crq_' || substr(e.entry_id, 5), e.wallet_id, e.kind, e.amount, e.reference, '', e.request_id,
       left(coalesce(nullif(e.reason, ''), 'Granted before requests were kept'), 600), '',
       CASE w.mode WHEN 'test' THEN 'sandbox' ELSE 'pilot' END, 'approved', e.created_at, e.created_at, ''
FROM credit_ledger e JOIN ledger_wallet w ON w.id = e.wallet_id
WHERE e.kind = 'grant';

CREATE FUNCTION ledger_refuse_request_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.basis = 'two_people' AND NEW.state <> 'requested' THEN
            RAISE EXCEPTION 'a request on the basis of two people starts undecided'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_creditrequest_starts_requested';
        ELSIF NEW.basis = 'sandbox'
              AND NOT EXISTS (SELECT FROM ledger_wallet w WHERE w.id = NEW.wallet_id AND w.mode = 'test') THEN
            RAISE EXCEPTION 'play money is for test wallets only'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_creditrequest_sandbox_is_test';
        END IF;
    ELSIF OLD.state <> 'requested' THEN
        RAISE EXCEPTION 'request % is %', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_creditrequest_decided_once';
    ELSIF (OLD.id, OLD.wallet_id, OLD.kind, OLD.amount, OLD.reference, OLD.about, OLD.request_id, OLD.reason,
           OLD.evidence_url, OLD.basis, OLD.requested_by_id, OLD.requested_at)
          IS DISTINCT FROM
          (NEW.id, NEW.wallet_id, NEW.kind, NEW.amount, NEW.reference, NEW.about, NEW.request_id, NEW.reason,
           NEW.evidence_url, NEW.basis, NEW.requested_by_id, NEW.requested_at) THEN
        RAISE EXCEPTION 'what is asked for does not change: reject it, and ask anew'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_creditrequest_terms_fixed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_creditrequest_moves BEFORE INSERT OR UPDATE ON ledger_creditrequest
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_request_change();
CREATE TRIGGER ledger_creditrequest_no_delete BEFORE DELETE ON ledger_creditrequest
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_creditrequest_no_truncate BEFORE TRUNCATE ON ledger_creditrequest
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- An entry that brings credits in or takes them out, and the request that asked for it: at commit there are both.
-- Served by ledger_creditrequest_reference_once, credit_ledger_grant_once and credit_ledger_adjustment_once.
CREATE FUNCTION ledger_refuse_entry_without_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM ledger_creditrequest r
    WHERE r.reference = NEW.reference AND r.state = 'approved'
      AND (r.wallet_id, r.kind, r.amount) = (NEW.wallet_id, NEW.kind, NEW.amount);
    IF NOT FOUND THEN
        RAISE EXCEPTION '% of % credits (%) has no approved request', NEW.kind, NEW.amount, NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_has_request';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_refuse_request_without_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM credit_ledger e
    WHERE e.reference = NEW.reference AND (e.wallet_id, e.kind, e.amount) = (NEW.wallet_id, NEW.kind, NEW.amount);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'request % is approved, and its entry is missing', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_request_has_entry';
    END IF;
    RETURN NULL;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_refuse_entry_without_request() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ledger_refuse_request_without_entry() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE CONSTRAINT TRIGGER ledger_entry_has_request AFTER INSERT ON credit_ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.kind IN ('grant', 'adjustment_in', 'adjustment_out'))
    EXECUTE FUNCTION ledger_refuse_entry_without_request();
CREATE CONSTRAINT TRIGGER ledger_request_has_entry AFTER INSERT OR UPDATE ON ledger_creditrequest
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.state = 'approved')
    EXECUTE FUNCTION ledger_refuse_request_without_entry();

ALTER TABLE ledger_creditrequest ENABLE ALWAYS TRIGGER ledger_creditrequest_moves;
ALTER TABLE ledger_creditrequest ENABLE ALWAYS TRIGGER ledger_creditrequest_no_delete;
ALTER TABLE ledger_creditrequest ENABLE ALWAYS TRIGGER ledger_creditrequest_no_truncate;
ALTER TABLE ledger_creditrequest ENABLE ALWAYS TRIGGER ledger_request_has_entry;
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_entry_has_request;

-- Both ways, for reconciliation.
CREATE VIEW invariant_entry_has_request AS
    SELECT e.entry_id AS subject,
           format('%s of %s credits (%s) has no approved request', e.kind, e.amount, e.reference) AS detail
    FROM credit_ledger e
    WHERE e.kind IN ('grant', 'adjustment_in', 'adjustment_out')
      AND NOT EXISTS (SELECT FROM ledger_creditrequest r
                      WHERE r.reference = e.reference AND r.state = 'approved'
                        AND (r.wallet_id, r.kind, r.amount) = (e.wallet_id, e.kind, e.amount))
    UNION ALL
    SELECT r.id, format('approved %s of %s credits (%s) has no entry', r.kind, r.amount, r.reference)
    FROM ledger_creditrequest r
    WHERE r.state = 'approved'
      AND NOT EXISTS (SELECT FROM credit_ledger e
                      WHERE e.reference = r.reference AND (e.wallet_id, e.kind, e.amount) = (r.wallet_id, r.kind, r.amount));
