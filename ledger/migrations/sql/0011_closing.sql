-- Closing a month: whoever inserts a row into ledger_period closes it, under the locks of all wallets. Postings that are
-- under way end first; those that come later are dated after the month, whatever the system's clock says.
CREATE FUNCTION ledger_close_period() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    previous timestamptz;
BEGIN
    -- Against another close, and against wallets that are being opened.
    PERFORM pg_advisory_xact_lock(hashtext('ledger_period'));
    IF NEW.ends_at > clock_timestamp() THEN
        RAISE EXCEPTION '% is not over before %', NEW.month, NEW.ends_at
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_period_is_over';
    END IF;
    SELECT max(p.ends_at) INTO previous FROM ledger_period p;
    IF NEW.starts_at <> previous THEN
        RAISE EXCEPTION '% does not follow the last closed month, which ends at %', NEW.month, previous
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_period_in_order';
    END IF;
    PERFORM FROM ledger_wallet w ORDER BY w.id FOR NO KEY UPDATE;
    UPDATE ledger_wallet SET closed_until = NEW.ends_at;
    RETURN NEW;
END $$;

-- The wallets are still locked, and each statement sees what was committed before it began.
CREATE FUNCTION ledger_write_period_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_periodbalance (period_id, wallet_id, available, reserved, settled, last_seq, head_hash)
    SELECT NEW.month, w.id, coalesce(e.available_after, 0), coalesce(e.reserved_after, 0), coalesce(e.settled_after, 0),
           coalesce(e.seq, 0), coalesce(e.hash, repeat('0', 64))
    FROM ledger_wallet w
    LEFT JOIN credit_ledger e ON e.wallet_id = w.id AND e.seq = ledger_seq_before(w.id, NEW.ends_at);
    RETURN NULL;
END $$;

-- A wallet that is opened later begins after what is closed.
CREATE FUNCTION ledger_open_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('ledger_period'));
    SELECT max(p.ends_at) INTO NEW.closed_until FROM ledger_period p;
    RETURN NEW;
END $$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_close_period() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ledger_write_period_balances() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ledger_open_wallet() SET search_path = %I, pg_temp', current_schema());
END $$;

CREATE TRIGGER ledger_period_close BEFORE INSERT ON ledger_period FOR EACH ROW EXECUTE FUNCTION ledger_close_period();
CREATE TRIGGER ledger_period_write_balances AFTER INSERT ON ledger_period
    FOR EACH ROW EXECUTE FUNCTION ledger_write_period_balances();
CREATE TRIGGER ledger_period_no_change BEFORE UPDATE OR DELETE ON ledger_period
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_period_no_truncate BEFORE TRUNCATE ON ledger_period
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_periodbalance_by_closing BEFORE INSERT ON ledger_periodbalance
    FOR EACH ROW WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_periodbalance_no_change BEFORE UPDATE OR DELETE ON ledger_periodbalance
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_periodbalance_no_truncate BEFORE TRUNCATE ON ledger_periodbalance
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_wallet_open BEFORE INSERT ON ledger_wallet FOR EACH ROW EXECUTE FUNCTION ledger_open_wallet();

ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_period_close;
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_period_write_balances;
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_period_no_change;
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_period_no_truncate;
ALTER TABLE ledger_periodbalance ENABLE ALWAYS TRIGGER ledger_periodbalance_by_closing;
ALTER TABLE ledger_periodbalance ENABLE ALWAYS TRIGGER ledger_periodbalance_no_change;
ALTER TABLE ledger_periodbalance ENABLE ALWAYS TRIGGER ledger_periodbalance_no_truncate;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_open;

-- What was closed stays as it was: the balances are those of the last entry before the end, and no entry was dated
-- into the month later.
CREATE VIEW invariant_closed_periods AS
    SELECT b.wallet_id AS subject,
           format('closed month %s: wallet ended at entry %s with %s / %s / %s; its last entry before the end is %s with %s / %s / %s',
                  b.period_id, b.last_seq, b.available, b.reserved, b.settled, coalesce(e.seq, 0),
                  coalesce(e.available_after, 0), coalesce(e.reserved_after, 0), coalesce(e.settled_after, 0)) AS detail
    FROM ledger_periodbalance b
    JOIN ledger_period p ON p.month = b.period_id
    LEFT JOIN credit_ledger e ON e.wallet_id = b.wallet_id AND e.seq = ledger_seq_before(b.wallet_id, p.ends_at)
    WHERE (b.last_seq, b.available, b.reserved, b.settled, b.head_hash)
          IS DISTINCT FROM (coalesce(e.seq, 0), coalesce(e.available_after, 0), coalesce(e.reserved_after, 0),
                            coalesce(e.settled_after, 0), coalesce(e.hash, repeat('0', 64)));
