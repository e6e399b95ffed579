-- What happens to invoices is dated past every closed month, as postings are: what the journal of one says stays.

-- The end of the last closed month. Until the transaction ends no month is closed: closing one waits for acts that are
-- under way, and they for it, by the lock that wallets take when they are opened.
CREATE FUNCTION ledger_closed_until() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('ledger_period'));
    RETURN (SELECT max(p.ends_at) FROM ledger_period p);
END $$;

-- As before, but for when an invoice is issued.
CREATE OR REPLACE FUNCTION ledger_issue_invoice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    lines record;
    given record;
    year_of int;
    count_of int;
    before timestamptz;
    closed_until timestamptz;
BEGIN
    SELECT count(*) AS number, sum(l.amount_cents) AS cents, sum(l.credits) AS credits INTO lines
    FROM ledger_invoiceline l WHERE l.invoice_id = NEW.id;
    -- Where nothing is due, the lines say what was used and paid before.
    IF lines.number = 0
       OR (NEW.kind <> 'usage' AND (lines.cents, lines.credits) <> (NEW.subtotal_cents, NEW.credits)) THEN
        RAISE EXCEPTION 'its lines come to % and % credits, the invoice says % and %',
                        coalesce(lines.cents, 0), coalesce(lines.credits, 0), NEW.subtotal_cents, NEW.credits
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_lines_add_up';
    END IF;
    IF NEW.kind <> 'usage' AND (NEW.total_cents = 0 OR num_nulls(NEW.issued_by_id, NEW.created_by_id) > 0) THEN
        RAISE EXCEPTION 'an invoice asks for money, and somebody has written and sent it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_asks_for_money';
    END IF;

    IF NEW.kind = 'credit_note' THEN
        SELECT i.* INTO given FROM ledger_invoice i WHERE i.id = NEW.corrects_id FOR NO KEY UPDATE;
        IF (given.kind, given.organization_id, given.currency) <> ('credits', NEW.organization_id, NEW.currency)
           OR (given.state, NEW.applied) NOT IN (('sent', true), ('paid', false)) THEN
            RAISE EXCEPTION 'a credit note corrects a customer''s own invoice that was sent or paid, not one that is %', given.state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_creditnote_of_invoice';
        END IF;
        SELECT given.total_cents - coalesce(sum(n.total_cents), 0) AS cents,
               given.credits - coalesce(sum(n.credits), 0) AS credits INTO lines
        FROM ledger_invoice n WHERE n.corrects_id = given.id AND n.state IN ('sent', 'paid');
        IF NEW.total_cents > (CASE WHEN NEW.applied THEN ledger_invoice_open(given.id, given.total_cents) ELSE lines.cents END)
           OR NEW.credits > (CASE WHEN NEW.applied THEN 0 ELSE lines.credits END) THEN
            RAISE EXCEPTION 'a credit note gives back no more than is open on an invoice, or was paid for it, and its credits'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_creditnote_within_invoice';
        END IF;
    ELSIF NEW.applied THEN
        RAISE EXCEPTION 'only a credit note is applied to an invoice'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_creditnote_of_invoice';
    END IF;

    -- Before the counters: who waits here holds none of them.
    closed_until := ledger_closed_until();
    LOCK TABLE ledger_invoicenumber IN SHARE ROW EXCLUSIVE MODE;
    NEW.issued_at := greatest(clock_timestamp(), closed_until);
    year_of := extract(year FROM NEW.issued_at AT TIME ZONE 'UTC');
    INSERT INTO ledger_invoicenumber AS n (series, year, last)
    VALUES (CASE NEW.kind WHEN 'credit_note' THEN 'CN' ELSE 'INV' END, year_of, 1)
    ON CONFLICT (series, year) DO UPDATE SET last = n.last + 1
    RETURNING n.series, n.last INTO given;
    count_of := given.last - 1;
    SELECT i.issued_at INTO before FROM ledger_invoice i
    WHERE i.number = format('%s-%s-%s', given.series, year_of, lpad(count_of::text, greatest(4, length(count_of::text)), '0'));
    NEW.issued_at := greatest(NEW.issued_at, before + interval '1 microsecond');
    NEW.number := format('%s-%s-%s', given.series, year_of, lpad(given.last::text, greatest(4, length(given.last::text)), '0'));
    NEW.due_on := coalesce(NEW.due_on, (NEW.issued_at AT TIME ZONE 'UTC')::date + NEW.terms_days);
    RETURN NEW;
END $$;

-- Nor is anything dated before the invoice was sent, whosever clock is slow.
CREATE FUNCTION ledger_date_invoice_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    least_at timestamptz := greatest(ledger_closed_until(), NEW.issued_at);
BEGIN
    IF NEW.state = 'paid' THEN
        NEW.paid_at := greatest(NEW.paid_at, least_at);
    ELSE
        NEW.voided_at := greatest(NEW.voided_at, least_at);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_date_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := greatest(NEW.recorded_at, ledger_closed_until(),
                                (SELECT i.issued_at FROM ledger_invoice i WHERE i.id = NEW.invoice_id));
    RETURN NEW;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{ledger_closed_until,ledger_issue_invoice,ledger_date_invoice_end,ledger_date_payment}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;

-- Triggers fire by their names: these after those that lock the row of the invoice, so that all wait in the same order.
CREATE TRIGGER ledger_invoice_past_closed BEFORE UPDATE ON ledger_invoice
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state IN ('paid', 'void')) EXECUTE FUNCTION ledger_date_invoice_end();
CREATE TRIGGER ledger_payment_past_closed BEFORE INSERT ON ledger_payment
    FOR EACH ROW EXECUTE FUNCTION ledger_date_payment();

ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_past_closed;
ALTER TABLE ledger_payment ENABLE ALWAYS TRIGGER ledger_payment_past_closed;
