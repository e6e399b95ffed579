-- Posting with as little work as it can be, the same books and the same refusals (docs/explanation/ledger-speed.md).

-- Nobody looks ids up by their beginning, and credit_ledger_once and _seq_once begin with what the others were for.
DO $$
DECLARE
    redundant text;
BEGIN
    FOR redundant IN
        SELECT i.indexname FROM pg_indexes i
        WHERE i.schemaname = current_schema() AND i.tablename IN ('credit_ledger', 'ledger_wallet')
          AND i.indexname LIKE '%\_like'
    LOOP
        EXECUTE format('DROP INDEX %I', redundant);
    END LOOP;
END $$;
DROP INDEX credit_ledger_by_reference;

-- Hex is written once: that of two digests in a row is the hex of both.
CREATE OR REPLACE FUNCTION ledger_entry_hash(
    prev_hash text, wallet_id text, seq bigint, entry_id text, created_at timestamptz, kind text, amount bigint,
    available_after bigint, reserved_after bigint, settled_after bigint,
    reference text, request_id text, actor text, reason text
) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT encode(sha256(convert_to(prev_hash || encode(
        sha256(convert_to(wallet_id, 'UTF8'))
        || sha256(convert_to(seq::text, 'UTF8'))
        || sha256(convert_to(entry_id, 'UTF8'))
        || sha256(convert_to(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'UTF8'))
        || sha256(convert_to(kind, 'UTF8'))
        || sha256(convert_to(amount::text, 'UTF8'))
        || sha256(convert_to(available_after::text, 'UTF8'))
        || sha256(convert_to(reserved_after::text, 'UTF8'))
        || sha256(convert_to(settled_after::text, 'UTF8'))
        || sha256(convert_to(reference, 'UTF8'))
        || sha256(convert_to(request_id, 'UTF8'))
        || sha256(convert_to(actor, 'UTF8'))
        || sha256(convert_to(reason, 'UTF8'))
    , 'hex'), 'UTF8')), 'hex')
$$;

-- Which buckets a kind moves is said here for posting, and in ledger_movement for everything that reads: that one would
-- cost a call. A kind that is not here is refused here; the column needs no check of its own, which would be parsed anew
-- with each entry.
CREATE OR REPLACE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    to_available bigint := 0;
    to_reserved bigint := 0;
    to_settled bigint := 0;
    held bigint;
BEGIN
    IF NEW.amount IS NULL OR NEW.amount <= 0 THEN
        RAISE EXCEPTION 'an entry moves a positive amount, not %', NEW.amount
            USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_amount_positive';
    END IF;
    CASE NEW.kind
        WHEN 'reserve' THEN to_available := -NEW.amount; to_reserved := NEW.amount;
        WHEN 'settle' THEN to_reserved := -NEW.amount; to_settled := NEW.amount;
        WHEN 'refund' THEN to_available := NEW.amount; to_reserved := -NEW.amount;
        WHEN 'grant', 'adjustment_in' THEN to_available := NEW.amount;
        WHEN 'adjustment_out' THEN to_available := -NEW.amount;
        ELSE
            RAISE EXCEPTION 'there is no kind %', NEW.kind
                USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_kind_known';
    END CASE;

    -- The SET expressions are evaluated again when the row had to be waited for: what they say is of the moment in
    -- which the lock was ours.
    UPDATE ledger_wallet w
    SET available = w.available + to_available,
        reserved  = w.reserved  + to_reserved,
        settled   = w.settled   + to_settled,
        last_seq  = w.last_seq + 1,
        (last_entry_at, low_since, prev_hash, head_hash) = (
            SELECT c.at,
                   CASE WHEN w.available + to_available < w.low_threshold THEN coalesce(w.low_since, c.at) END,
                   w.head_hash,
                   ledger_entry_hash(
                       w.head_hash, w.id, w.last_seq + 1, NEW.entry_id, c.at, NEW.kind, NEW.amount,
                       w.available + to_available, w.reserved + to_reserved, w.settled + to_settled,
                       NEW.reference, NEW.request_id, NEW.actor, NEW.reason)
            FROM (SELECT greatest(clock_timestamp(), w.last_entry_at + interval '1 microsecond', w.closed_until) AS at OFFSET 0) c
        )
    WHERE w.id = NEW.wallet_id
    RETURNING w.available, w.reserved, w.settled, w.last_seq, w.last_entry_at, w.prev_hash, w.head_hash
    INTO NEW.available_after, NEW.reserved_after, NEW.settled_after, NEW.seq, NEW.created_at, NEW.prev_hash, NEW.hash;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no wallet %', NEW.wallet_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'credit_ledger_wallet_exists';
    END IF;

    -- With the wallet locked nobody else can spend this reference's reserve. Served by credit_ledger_once.
    IF NEW.kind IN ('settle', 'refund') THEN
        SELECT coalesce(sum(CASE e.kind WHEN 'reserve' THEN e.amount WHEN 'settle' THEN -e.amount
                                        WHEN 'refund' THEN -e.amount ELSE 0 END), 0)
        INTO held FROM credit_ledger e WHERE e.reference = NEW.reference AND e.wallet_id = NEW.wallet_id;
        IF NEW.amount > held THEN
            RAISE EXCEPTION '% % exceeds the % held for %', NEW.kind, NEW.amount, held, NEW.reference
                USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_ledger_within_reserve';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- A wallet's mode is said once, when it is opened, and checked here: a check of the table would be made with each posting.
CREATE OR REPLACE FUNCTION ledger_open_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.mode NOT IN ('live', 'test') THEN
        RAISE EXCEPTION 'there is no mode %', NEW.mode
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_wallet_mode_known';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('ledger_period'));
    SELECT max(p.ends_at) INTO NEW.closed_until FROM ledger_period p;
    RETURN NEW;
END $$;

-- Replaced functions have lost their search path.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION ledger_post() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ledger_open_wallet() SET search_path = %I, pg_temp', current_schema());
END $$;
