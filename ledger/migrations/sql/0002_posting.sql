-- The database does the posting: whoever inserts into credit_ledger, from wherever, makes right books or none.

-- The seal of one entry: SHA-256 of the previous hash followed by the SHA-256 of each sealed field.
-- Hashing each field on its own makes the sealing unambiguous whatever a text contains.
CREATE FUNCTION ledger_entry_hash(
    prev_hash text, wallet_id text, seq bigint, entry_id text, created_at timestamptz, kind text, amount bigint,
    available_after bigint, reserved_after bigint, settled_after bigint,
    reference text, request_id text, actor text, reason text
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(
        prev_hash
        || encode(sha256(convert_to(wallet_id, 'UTF8')), 'hex')
        || encode(sha256(convert_to(seq::text, 'UTF8')), 'hex')
        || encode(sha256(convert_to(entry_id, 'UTF8')), 'hex')
        || encode(sha256(convert_to(
               to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'UTF8')), 'hex')
        || encode(sha256(convert_to(kind, 'UTF8')), 'hex')
        || encode(sha256(convert_to(amount::text, 'UTF8')), 'hex')
        || encode(sha256(convert_to(available_after::text, 'UTF8')), 'hex')
        || encode(sha256(convert_to(reserved_after::text, 'UTF8')), 'hex')
        || encode(sha256(convert_to(settled_after::text, 'UTF8')), 'hex')
        || encode(sha256(convert_to(reference, 'UTF8')), 'hex')
        || encode(sha256(convert_to(request_id, 'UTF8')), 'hex')
        || encode(sha256(convert_to(actor, 'UTF8')), 'hex')
        || encode(sha256(convert_to(reason, 'UTF8')), 'hex')
    , 'UTF8')), 'hex')
$$;

-- Which buckets a kind moves, as signs: available, reserved, settled.
CREATE FUNCTION ledger_movement(kind text, OUT available int, OUT reserved int, OUT settled int)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE kind WHEN 'grant' THEN 1 WHEN 'adjustment_in' THEN 1 WHEN 'refund' THEN 1
                     WHEN 'reserve' THEN -1 WHEN 'adjustment_out' THEN -1 ELSE 0 END,
           CASE kind WHEN 'reserve' THEN 1 WHEN 'settle' THEN -1 WHEN 'refund' THEN -1 ELSE 0 END,
           CASE kind WHEN 'settle' THEN 1 ELSE 0 END
$$;

-- One UPDATE per movement. Its SET expressions are evaluated again when the row had to be waited for, so number, time
-- and hash are those of the moment in which the lock was ours. The time never steps back within a wallet, whatever
-- the system's clock does.
CREATE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql AS $$
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
        (last_entry_at, prev_hash, head_hash) = (
            SELECT c.at, w.head_hash, ledger_entry_hash(
                w.head_hash, w.id, w.last_seq + 1, NEW.entry_id, c.at, NEW.kind, NEW.amount,
                w.available + move.available * NEW.amount,
                w.reserved  + move.reserved  * NEW.amount,
                w.settled   + move.settled   * NEW.amount,
                NEW.reference, NEW.request_id, NEW.actor, NEW.reason)
            FROM (SELECT greatest(clock_timestamp(), w.last_entry_at + interval '1 microsecond') AS at OFFSET 0) c
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

CREATE TRIGGER ledger_post BEFORE INSERT ON credit_ledger FOR EACH ROW EXECUTE FUNCTION ledger_post();

CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused. Correct it with an adjustment.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_append_only';
END $$;

CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON credit_ledger
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON credit_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_wallet_no_delete BEFORE DELETE ON ledger_wallet
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_wallet_no_truncate BEFORE TRUNCATE ON ledger_wallet
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- A wallet starts empty and changes by posting only: directly, the trigger depth is 0.
CREATE FUNCTION ledger_refuse_direct() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the figures of a wallet change only by an entry in credit_ledger'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_wallet_by_posting_only';
END $$;

CREATE TRIGGER ledger_wallet_no_direct_change BEFORE UPDATE ON ledger_wallet
    FOR EACH ROW WHEN (pg_trigger_depth() < 1) EXECUTE FUNCTION ledger_refuse_direct();
CREATE TRIGGER ledger_wallet_starts_empty BEFORE INSERT ON ledger_wallet
    FOR EACH ROW WHEN (NEW.available <> 0 OR NEW.reserved <> 0 OR NEW.settled <> 0 OR NEW.last_seq <> 0
                       OR NEW.head_hash <> repeat('0', 64) OR NEW.prev_hash <> repeat('0', 64))
    EXECUTE FUNCTION ledger_refuse_direct();

-- INSERT … ON CONFLICT DO NOTHING drops a row after its posting: then the wallet has moved, and no entry says why. So at
-- commit each change of a wallet must have its entry. Served by credit_ledger_seq_once.
CREATE FUNCTION ledger_refuse_movement_without_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM credit_ledger e WHERE e.wallet_id = NEW.id AND e.seq = NEW.last_seq AND e.hash = NEW.head_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'wallet % moved, and its entry % is missing', NEW.id, NEW.last_seq
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_wallet_has_its_entry';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER ledger_wallet_has_its_entry AFTER UPDATE ON ledger_wallet
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_refuse_movement_without_entry();

CREATE INDEX credit_ledger_by_reference ON credit_ledger (reference);

-- Also for sessions that call themselves a replica.
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_post;
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_no_change;
ALTER TABLE credit_ledger ENABLE ALWAYS TRIGGER ledger_no_truncate;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_has_its_entry;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_delete;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_truncate;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_direct_change;
ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_starts_empty;
