-- What a key has used is counted where its credits are held and given back: with the entry, in the same transaction, by
-- whichever release makes it. customers_apikey_within_budget refuses what goes over the budget.

-- The wallet is locked when an entry has been posted, and the key belongs to one wallet: so whoever comes here waits for
-- nobody who is counting, and the lock order is batch, items, wallet, key. Nothing takes them the other way round.
CREATE FUNCTION ledger_count_for_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.kind = 'reserve' THEN
        UPDATE customers_apikey SET used_credits = used_credits + NEW.amount WHERE id = NEW.actor;
    ELSE
        -- To the key that had them held. Served by credit_ledger_once.
        UPDATE customers_apikey k SET used_credits = k.used_credits - NEW.amount
        FROM credit_ledger e
        WHERE e.reference = NEW.reference AND e.kind = 'reserve' AND e.wallet_id = NEW.wallet_id AND k.id = e.actor;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_refuse_direct_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a key has used changes only by an entry in credit_ledger'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'customers_apikey_used_by_posting_only';
END $$;

-- What was there before. The long look at all entries comes first, while posting goes on: it remembers how far it saw,
-- wallet by wallet. Then the trigger's lock waits until nobody is posting, and what came meanwhile is added: that is
-- little, and posting goes on at the commit. Every entry is counted here or by the trigger, and none by both.
CREATE TEMPORARY TABLE ledger_counted ON COMMIT DROP AS
    SELECT w.id AS wallet_id, w.last_seq AS upto, u.key_id, u.credits
    FROM ledger_wallet w
    LEFT JOIN (
        SELECT e.wallet_id, r.actor AS key_id,
               sum(CASE e.kind WHEN 'reserve' THEN e.amount ELSE -e.amount END) AS credits
        FROM credit_ledger e JOIN credit_ledger r ON r.reference = e.reference AND r.kind = 'reserve'
        WHERE e.kind IN ('reserve', 'refund') AND r.actor LIKE 'key\_%'
        GROUP BY e.wallet_id, r.actor
    ) u ON u.wallet_id = w.id;

CREATE TRIGGER ledger_count_for_key AFTER INSERT ON credit_ledger FOR EACH ROW
    WHEN (NEW.kind = 'refund' OR NEW.kind = 'reserve' AND NEW.actor LIKE 'key\_%')
    EXECUTE FUNCTION ledger_count_for_key();

DO $$
DECLARE
    moved record;
BEGIN
    UPDATE customers_apikey k SET used_credits = c.credits FROM ledger_counted c WHERE c.key_id = k.id;
    -- Each key by each entry that came meanwhile. Served by credit_ledger_seq_once.
    FOR moved IN
        SELECT w.id, coalesce(c.upto, 0) AS upto
        FROM ledger_wallet w LEFT JOIN (SELECT DISTINCT wallet_id, upto FROM ledger_counted) c ON c.wallet_id = w.id
        WHERE w.last_seq > coalesce(c.upto, 0)
    LOOP
        UPDATE customers_apikey k SET used_credits = k.used_credits + n.credits
        FROM (
            SELECT r.actor, sum(CASE e.kind WHEN 'reserve' THEN e.amount ELSE -e.amount END) AS credits
            FROM credit_ledger e JOIN credit_ledger r ON r.reference = e.reference AND r.kind = 'reserve'
            WHERE e.wallet_id = moved.id AND e.seq > moved.upto AND e.kind IN ('reserve', 'refund')
            GROUP BY r.actor
        ) n
        WHERE k.id = n.actor;
    END LOOP;
    EXECUTE format('ALTER FUNCTION ledger_count_for_key() SET search_path = %I, pg_temp', current_schema());
END $$;

-- A key starts unused and is counted by posting only: directly, the trigger depth is 0.
CREATE TRIGGER customers_apikey_no_direct_count BEFORE UPDATE ON customers_apikey FOR EACH ROW
    WHEN (NEW.used_credits <> OLD.used_credits AND pg_trigger_depth() < 1) EXECUTE FUNCTION ledger_refuse_direct_count();
CREATE TRIGGER customers_apikey_starts_unused BEFORE INSERT ON customers_apikey FOR EACH ROW
    WHEN (NEW.used_credits <> 0) EXECUTE FUNCTION ledger_refuse_direct_count();

-- Also for sessions that call themselves a replica.
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_count_for_key;
ALTER TABLE customers_apikey ENABLE ALWAYS TRIGGER customers_apikey_no_direct_count;
ALTER TABLE customers_apikey ENABLE ALWAYS TRIGGER customers_apikey_starts_unused;
