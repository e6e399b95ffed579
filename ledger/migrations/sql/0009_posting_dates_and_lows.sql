-- Posting as before, and: no entry is dated into a closed month; falling below a wallet's threshold is marked.
-- It runs as the tables' owner, so that the role that inserts an entry need not be allowed to update a wallet.
CREATE OR REPLACE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    move record;
    held bigint;
    posted record;
BEGIN
    IF NEW.amount IS NULL OR NEW.amount <= 0 THEN
        RAISE EXCEPTION 'an entry moves a positive amount, not %', NEW.amount
            USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_amount_positive';
    END IF;
    move := ledger_movement(NEW.kind);

    UPDATE ledger_wallet w
    SET available = w.available + move.available * NEW.amount,
        reserved  = w.reserved  + move.reserved  * NEW.amount,
        settled   = w.settled   + move.settled   * NEW.amount,
        last_seq  = w.last_seq + 1,
        (last_entry_at, low_since, prev_hash, head_hash) = (
            SELECT c.at,
                   CASE WHEN w.available + move.available * NEW.amount < w.low_threshold THEN coalesce(w.low_since, c.at) END,
                   w.head_hash,
                   ledger_entry_hash(
                       w.head_hash, w.id, w.last_seq + 1, NEW.entry_id, c.at, NEW.kind, NEW.amount,
                       w.available + move.available * NEW.amount,
                       w.reserved  + move.reserved  * NEW.amount,
                       w.settled   + move.settled   * NEW.amount,
                       NEW.reference, NEW.request_id, NEW.actor, NEW.reason)
            FROM (SELECT greatest(clock_timestamp(), w.last_entry_at + interval '1 microsecond', w.closed_until) AS at OFFSET 0) c
        )
    WHERE w.id = NEW.wallet_id
    RETURNING w.available, w.reserved, w.settled, w.last_seq, w.last_entry_at, w.prev_hash, w.head_hash INTO posted;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no wallet %', NEW.wallet_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'credit_ledger_wallet_exists';
    END IF;

    -- With the wallet locked nobody else can spend this reference's reserve. Served by credit_ledger_by_reference.
    IF NEW.kind IN ('settle', 'refund') THEN
        SELECT coalesce(sum(CASE e.kind WHEN 'reserve' THEN e.amount WHEN 'settle' THEN -e.amount
                                        WHEN 'refund' THEN -e.amount ELSE 0 END), 0)
        INTO held FROM credit_ledger e WHERE e.reference = NEW.reference AND e.wallet_id = NEW.wallet_id;
        IF NEW.amount > held THEN
            RAISE EXCEPTION '% % exceeds the % held for %', NEW.kind, NEW.amount, held, NEW.reference
                USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_within_reserve';
        END IF;
    END IF;

    NEW.seq := posted.last_seq;
    NEW.created_at := posted.last_entry_at;
    NEW.available_after := posted.available;
    NEW.reserved_after := posted.reserved;
    NEW.settled_after := posted.settled;
    NEW.prev_hash := posted.prev_hash;
    NEW.hash := posted.head_hash;
    RETURN NEW;
END $$;

-- What runs as the owner, and what decides at commit, must not take somebody's temporary table for one of ours.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_post() SET search_path = %I, pg_temp', current_schema());
END $$;

-- Besides the figures, only what is no figure may be changed directly: the threshold, and what has been told of it.
DROP TRIGGER ledger_wallet_no_direct_change ON ledger_wallet;
CREATE TRIGGER ledger_wallet_no_direct_change BEFORE UPDATE ON ledger_wallet FOR EACH ROW
    WHEN (pg_trigger_depth() < 1
          AND (OLD.id, OLD.organization_id, OLD.mode, OLD.available, OLD.reserved, OLD.settled, OLD.last_seq,
               OLD.last_entry_at, OLD.prev_hash, OLD.head_hash, OLD.closed_until, OLD.created_at)
              IS DISTINCT FROM
              (NEW.id, NEW.organization_id, NEW.mode, NEW.available, NEW.reserved, NEW.settled, NEW.last_seq,
               NEW.last_entry_at, NEW.prev_hash, NEW.head_hash, NEW.closed_until, NEW.created_at))
    EXECUTE FUNCTION ledger_refuse_direct();
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_direct_change;

-- A changed threshold is judged at once. (Posting does not name this column, and judges for itself.)
CREATE FUNCTION ledger_judge_threshold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.low_since := CASE WHEN NEW.available < NEW.low_threshold THEN coalesce(OLD.low_since, clock_timestamp()) END;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_wallet_judge_threshold BEFORE UPDATE OF low_threshold ON ledger_wallet
    FOR EACH ROW EXECUTE FUNCTION ledger_judge_threshold();
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_judge_threshold;

-- Whatever moves a wallet, at commit its figures are those of its last entry, one by one.
CREATE OR REPLACE FUNCTION ledger_refuse_movement_without_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM credit_ledger e
    WHERE e.wallet_id = NEW.id AND e.seq = NEW.last_seq AND e.hash = NEW.head_hash AND e.prev_hash = NEW.prev_hash
      AND (e.available_after, e.reserved_after, e.settled_after) = (NEW.available, NEW.reserved, NEW.settled);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'wallet % moved, and its entry % is missing', NEW.id, NEW.last_seq
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_wallet_has_its_entry';
    END IF;
    RETURN NULL;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_refuse_movement_without_entry() SET search_path = %I, pg_temp', current_schema());
END $$;
DROP TRIGGER ledger_wallet_has_its_entry ON ledger_wallet;
CREATE CONSTRAINT TRIGGER ledger_wallet_has_its_entry AFTER UPDATE ON ledger_wallet DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.available, OLD.reserved, OLD.settled, OLD.last_seq, OLD.prev_hash, OLD.head_hash)
          IS DISTINCT FROM (NEW.available, NEW.reserved, NEW.settled, NEW.last_seq, NEW.prev_hash, NEW.head_hash))
    EXECUTE FUNCTION ledger_refuse_movement_without_entry();
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_has_its_entry;

-- The number of a wallet's last entry before an instant; 0 when there is none, the last of all for null. Entries are
-- numbered without gaps and dated in that order, so it is found by halving, on credit_ledger_seq_once. Where a number is
-- missing, the books are wrong; then every entry is looked at.
CREATE FUNCTION ledger_seq_before(wallet text, at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    dated timestamptz;
BEGIN
    SELECT coalesce(max(e.seq), 0) INTO high FROM credit_ledger e WHERE e.wallet_id = wallet;
    IF at IS NULL THEN
        RETURN high;
    END IF;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT e.created_at INTO dated FROM credit_ledger e WHERE e.wallet_id = wallet AND e.seq = middle;
        IF NOT FOUND THEN
            RETURN (SELECT coalesce(max(e.seq), 0) FROM credit_ledger e WHERE e.wallet_id = wallet AND e.created_at < at);
        ELSIF dated < at THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;
