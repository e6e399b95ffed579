-- An invoice is numbered and fixed when it is sent, paid when nothing is open, and makes credits once: whoever writes,
-- from wherever, makes right invoices or none.

-- What is still to be paid: what came in and what was credited on it is off. Served by ledger_payment_reference_once and
-- the index of corrects_id.
CREATE FUNCTION ledger_invoice_open(invoice_id text, total bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (total - coalesce((SELECT sum(p.amount_cents) FROM ledger_payment p WHERE p.invoice_id = $1), 0)
                  - coalesce((SELECT sum(n.total_cents) FROM ledger_invoice n
                              WHERE n.corrects_id = $1 AND n.applied AND n.state IN ('sent', 'paid')), 0))::bigint
$$;

-- Where an invoice may go, and what may change on the way: all of a draft, then nothing but the columns of its state.
CREATE FUNCTION ledger_refuse_invoice_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := CASE NEW.state WHEN 'paid' THEN '{state,paid_at,paid_by_id}'
                                    WHEN 'void' THEN '{state,voided_at,voided_by_id,void_reason}' ELSE '{}' END;
BEGIN
    IF NEW.state = 'draft' AND num_nonnulls(NEW.number, NEW.issued_at, NEW.issued_by_id, NEW.paid_at, NEW.paid_by_id,
                                            NEW.voided_at, NEW.voided_by_id) > 0 THEN
        RAISE EXCEPTION 'a draft has no number, and nobody has sent, paid or voided it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_draft_is_plain';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'an invoice starts as a draft, not %', NEW.state
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_invoice_starts_draft';
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.state, NEW.state) NOT IN (('draft', 'draft'), ('draft', 'sent'), ('draft', 'void'), ('sent', 'sent'),
                                      ('sent', 'paid'), ('sent', 'void'), ('paid', 'paid'), ('void', 'void')) THEN
        RAISE EXCEPTION 'invoice % is %, and does not become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_invoice_state_moves';
    END IF;
    IF OLD.state = 'draft' AND NEW.state IN ('draft', 'sent') THEN
        IF (OLD.id, OLD.organization_id, OLD.kind, OLD.corrects_id, OLD.created_by_id, OLD.created_at)
           IS DISTINCT FROM
           (NEW.id, NEW.organization_id, NEW.kind, NEW.corrects_id, NEW.created_by_id, NEW.created_at) THEN
            RAISE EXCEPTION 'whose a draft is, of what kind and by whom does not change: void it, and make another'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_invoice_sent_is_fixed';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state = NEW.state THEN
        moving := '{}';
    END IF;
    IF to_jsonb(OLD) - moving IS DISTINCT FROM to_jsonb(NEW) - moving THEN
        RAISE EXCEPTION 'invoice % was %: it stays as it is', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_invoice_sent_is_fixed';
    END IF;
    RETURN NEW;
END $$;

-- Sending: the lines are its sums, a credit note fits the invoice that it corrects, and the next number is given. The
-- lock of the counters makes senders queue until the one before has committed: no number is lost, and the times of issue
-- are in the order of the numbers, whatever the system's clock does.
CREATE FUNCTION ledger_issue_invoice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    lines record;
    given record;
    year_of int;
    count_of int;
    before timestamptz;
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

    LOCK TABLE ledger_invoicenumber IN SHARE ROW EXCLUSIVE MODE;
    NEW.issued_at := clock_timestamp();
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

-- Its row is locked by the update, and a payment or a credit note takes that lock before it counts.
CREATE FUNCTION ledger_refuse_wrong_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    still_open bigint := CASE WHEN NEW.applied THEN 0 ELSE ledger_invoice_open(NEW.id, NEW.total_cents) END;
BEGIN
    IF NEW.state = 'paid' AND (still_open <> 0 OR NEW.kind = 'credits' AND NEW.paid_by_id IS NULL) THEN
        RAISE EXCEPTION 'invoice % is paid when nothing is open, and somebody says so; % is', NEW.number, still_open
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_paid_in_full';
    END IF;
    -- Void before anything was paid, or credited in full.
    IF NEW.state = 'void' AND (NEW.kind <> 'credits' OR still_open NOT IN (0, NEW.total_cents)
        OR (SELECT coalesce(sum(p.amount_cents), 0) FROM ledger_payment p WHERE p.invoice_id = NEW.id) <> 0) THEN
        RAISE EXCEPTION 'invoice % was paid or credited in part, or is of a kind that is never void', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_void_unpaid';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_refuse_line_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice text := CASE TG_OP WHEN 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END;
BEGIN
    -- Whoever sends it meanwhile waits, or is waited for.
    PERFORM FROM ledger_invoice i WHERE i.id = invoice AND i.state = 'draft' FOR NO KEY UPDATE;
    IF NOT FOUND OR (TG_OP = 'UPDATE' AND NEW.invoice_id <> OLD.invoice_id) THEN
        RAISE EXCEPTION 'the lines of % change while it is a draft, and stay with it', invoice
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_invoiceline_of_draft';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- Payments of an invoice queue by the lock of its row.
CREATE FUNCTION ledger_refuse_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice ledger_invoice%ROWTYPE;
BEGIN
    SELECT i.* INTO invoice FROM ledger_invoice i WHERE i.id = NEW.invoice_id FOR NO KEY UPDATE;
    IF invoice.state IS DISTINCT FROM 'sent' OR invoice.applied OR invoice.kind = 'usage' THEN
        RAISE EXCEPTION 'money comes for an invoice that was sent and is not paid; this one is %', invoice.state
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_payment_of_sent';
    END IF;
    IF invoice.kind = 'credits' AND NEW.recorded_by_id = invoice.issued_by_id THEN
        RAISE EXCEPTION 'who sent an invoice does not say that it was paid'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_payment_two_people';
    END IF;
    IF NEW.reverses_id IS NOT NULL THEN
        PERFORM FROM ledger_payment p
        WHERE p.id = NEW.reverses_id AND p.reverses_id IS NULL AND (p.invoice_id, p.amount_cents) = (NEW.invoice_id, -NEW.amount_cents);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'a payment is reversed whole, on its own invoice'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_payment_reversal_fits';
        END IF;
    ELSIF NEW.amount_cents > ledger_invoice_open(invoice.id, invoice.total_cents) THEN
        RAISE EXCEPTION '% is more than is open', NEW.amount_cents
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_payment_within_open';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_refuse_paper_of_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM ledger_invoice i WHERE i.id = NEW.invoice_id AND i.number IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a paper is kept of what was sent, and % was not', NEW.invoice_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoicepaper_of_sent';
    END IF;
    RETURN NEW;
END $$;

-- Which credits invoices bring in and credit notes take out, and on whose word.
CREATE VIEW ledger_invoice_credits AS
    SELECT i.id AS reference, 'grant' AS kind, i.credits AS amount, '' AS about, i.organization_id, i.currency,
           i.issued_by_id AS requested_by_id, i.paid_by_id AS decided_by_id
    FROM ledger_invoice i WHERE i.kind = 'credits' AND i.state = 'paid' AND i.credits > 0
    UNION ALL
    SELECT i.id, 'adjustment_out', i.credits, i.corrects_id, i.organization_id, i.currency, i.created_by_id, i.issued_by_id
    FROM ledger_invoice i WHERE i.kind = 'credit_note' AND i.state IN ('sent', 'paid') AND i.credits > 0;

-- Both ways. Served by ledger_creditrequest_reference_once.
CREATE VIEW invariant_invoice_credits AS
    SELECT c.reference AS subject, format('%s of %s credits by this invoice has no request that fits it', c.kind, c.amount) AS detail
    FROM ledger_invoice_credits c
    WHERE NOT EXISTS (
        SELECT FROM ledger_creditrequest r JOIN ledger_wallet w ON w.id = r.wallet_id
        WHERE r.reference = c.reference AND r.state = 'approved'
          AND (r.basis, r.kind, r.amount, r.about, r.requested_by_id, r.decided_by_id, w.organization_id, w.mode)
              = ('invoice', c.kind, c.amount, c.about, c.requested_by_id, c.decided_by_id, c.organization_id, 'live'))
    UNION ALL
    SELECT r.id, format('approved %s of %s credits has no invoice %s that fits it', r.kind, r.amount, r.reference)
    FROM ledger_creditrequest r JOIN ledger_wallet w ON w.id = r.wallet_id
    WHERE r.basis = 'invoice'
      AND NOT EXISTS (
        SELECT FROM ledger_invoice_credits c
        WHERE c.reference = r.reference
          AND (r.kind, r.amount, r.about, r.requested_by_id, r.decided_by_id, w.organization_id, w.mode)
              = (c.kind, c.amount, c.about, c.requested_by_id, c.decided_by_id, c.organization_id, 'live'));

-- At commit an invoice and its request for credits fit each other; that the request has its entry is guarded already.
CREATE FUNCTION ledger_refuse_wrong_invoice_credits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT v.detail INTO wrong FROM invariant_invoice_credits v WHERE v.subject = NEW.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%: %', NEW.id, wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_invoice_makes_its_credits';
    END IF;
    RETURN NULL;
END $$;

-- What a request was paid for with is among what does not change.
CREATE OR REPLACE FUNCTION ledger_refuse_request_change() RETURNS trigger LANGUAGE plpgsql AS $$
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
           OLD.evidence_url, OLD.basis, OLD.paid_cents, OLD.currency, OLD.requested_by_id, OLD.requested_at)
          IS DISTINCT FROM
          (NEW.id, NEW.wallet_id, NEW.kind, NEW.amount, NEW.reference, NEW.about, NEW.request_id, NEW.reason,
           NEW.evidence_url, NEW.basis, NEW.paid_cents, NEW.currency, NEW.requested_by_id, NEW.requested_at) THEN
        RAISE EXCEPTION 'what is asked for does not change: reject it, and ask anew'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_creditrequest_terms_fixed';
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{ledger_refuse_invoice_move,ledger_issue_invoice,ledger_refuse_wrong_end,ledger_refuse_line_change,ledger_refuse_payment,ledger_refuse_paper_of_draft,ledger_refuse_wrong_invoice_credits}'::text[] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;

CREATE TRIGGER ledger_invoice_moves BEFORE INSERT OR UPDATE ON ledger_invoice
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_invoice_move();
CREATE TRIGGER ledger_invoice_issue BEFORE UPDATE ON ledger_invoice
    FOR EACH ROW WHEN (OLD.state = 'draft' AND NEW.state = 'sent') EXECUTE FUNCTION ledger_issue_invoice();
CREATE TRIGGER ledger_invoice_ends BEFORE UPDATE ON ledger_invoice
    FOR EACH ROW WHEN (OLD.state = 'sent' AND NEW.state <> 'sent') EXECUTE FUNCTION ledger_refuse_wrong_end();
CREATE TRIGGER ledger_invoiceline_of_draft BEFORE INSERT OR UPDATE OR DELETE ON ledger_invoiceline
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_line_change();
CREATE TRIGGER ledger_payment_fits BEFORE INSERT ON ledger_payment
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_payment();
CREATE TRIGGER ledger_payment_no_change BEFORE UPDATE OR DELETE ON ledger_payment
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_invoicepaper_of_sent BEFORE INSERT ON ledger_invoicepaper
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_paper_of_draft();
CREATE TRIGGER ledger_invoicepaper_no_change BEFORE UPDATE OR DELETE ON ledger_invoicepaper
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_invoice_no_delete BEFORE DELETE ON ledger_invoice
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_invoice_no_truncate BEFORE TRUNCATE ON ledger_invoice
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_invoiceline_no_truncate BEFORE TRUNCATE ON ledger_invoiceline
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_payment_no_truncate BEFORE TRUNCATE ON ledger_payment
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_invoicepaper_no_truncate BEFORE TRUNCATE ON ledger_invoicepaper
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE CONSTRAINT TRIGGER ledger_invoice_makes_its_credits AFTER UPDATE ON ledger_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.state IN ('sent', 'paid') AND NEW.credits > 0)
    EXECUTE FUNCTION ledger_refuse_wrong_invoice_credits();
CREATE CONSTRAINT TRIGGER ledger_creditrequest_of_invoice AFTER INSERT ON ledger_creditrequest
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.basis = 'invoice')
    EXECUTE FUNCTION ledger_refuse_wrong_invoice_credits();

ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_moves;
ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_issue;
ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_ends;
ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_no_delete;
ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_no_truncate;
ALTER TABLE ledger_invoice ENABLE ALWAYS TRIGGER ledger_invoice_makes_its_credits;
ALTER TABLE ledger_invoiceline ENABLE ALWAYS TRIGGER ledger_invoiceline_of_draft;
ALTER TABLE ledger_invoiceline ENABLE ALWAYS TRIGGER ledger_invoiceline_no_truncate;
ALTER TABLE ledger_payment ENABLE ALWAYS TRIGGER ledger_payment_fits;
ALTER TABLE ledger_payment ENABLE ALWAYS TRIGGER ledger_payment_no_change;
ALTER TABLE ledger_payment ENABLE ALWAYS TRIGGER ledger_payment_no_truncate;
ALTER TABLE ledger_invoicepaper ENABLE ALWAYS TRIGGER ledger_invoicepaper_of_sent;
ALTER TABLE ledger_invoicepaper ENABLE ALWAYS TRIGGER ledger_invoicepaper_no_change;
ALTER TABLE ledger_invoicepaper ENABLE ALWAYS TRIGGER ledger_invoicepaper_no_truncate;
ALTER TABLE ledger_creditrequest ENABLE ALWAYS TRIGGER ledger_creditrequest_of_invoice;

-- Numbers without gaps, in the order of issue, of the year of issue; the counter is at the last of them.
CREATE VIEW invariant_invoice_numbers AS
    SELECT n.id AS subject,
           CASE WHEN n.place IS NULL THEN format('%s is no number of an invoice of %s', n.number, n.year)
                WHEN n.place <> n.due THEN format('%s where number %s of its series was due', n.number, n.due)
                ELSE format('%s was issued before the one before it', n.number) END AS detail
    FROM (
        SELECT p.*, row_number() OVER w AS due, lag(p.issued_at) OVER w AS previous_at
        FROM (
            SELECT i.id, i.number, i.issued_at, extract(year FROM i.issued_at AT TIME ZONE 'UTC')::int AS year,
                   i.kind = 'credit_note' AS note,
                   (regexp_match(i.number, CASE i.kind WHEN 'credit_note' THEN '^CN-' ELSE '^INV-' END
                                 || extract(year FROM i.issued_at AT TIME ZONE 'UTC') || '-([0-9]{4,9})$'))[1]::int AS place
            FROM ledger_invoice i WHERE i.number IS NOT NULL
        ) p
        WINDOW w AS (PARTITION BY p.note, p.year ORDER BY p.place)
    ) n
    WHERE n.place IS NULL OR n.place <> n.due OR n.issued_at <= n.previous_at
    UNION ALL
    SELECT coalesce(i.id, format('%s-%s', n.series, n.year)),
           format('%s numbers of %s-%s were given, and the last one in the books is %s', n.last, n.series, n.year,
                  coalesce(i.number, 'missing'))
    FROM ledger_invoicenumber n
    LEFT JOIN LATERAL (
        SELECT i.id, i.number FROM ledger_invoice i WHERE i.number LIKE format('%s-%s-%%', n.series, n.year)
        ORDER BY length(i.number) DESC, i.number DESC LIMIT 1
    ) i ON true
    WHERE i.number IS DISTINCT FROM format('%s-%s-%s', n.series, n.year, lpad(n.last::text, greatest(4, length(n.last::text)), '0'));

CREATE VIEW invariant_invoice_lines AS
    SELECT i.id AS subject,
           format('%s says %s and %s credits, its lines come to %s and %s', i.number, i.subtotal_cents, i.credits,
                  l.cents, l.credits) AS detail
    FROM ledger_invoice i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount_cents), 0) AS cents, coalesce(sum(l.credits), 0) AS credits
        FROM ledger_invoiceline l WHERE l.invoice_id = i.id
    ) l
    WHERE i.number IS NOT NULL AND i.kind <> 'usage' AND (i.subtotal_cents, i.credits) <> (l.cents, l.credits);

-- Paid is what has nothing open, and no more came in or went back than was asked for.
CREATE VIEW invariant_invoice_paid AS
    SELECT i.id AS subject,
           format('%s of %s is %s: %s was paid, %s is open, %s was credited', coalesce(i.number, 'a draft'), i.total_cents,
                  i.state, p.cents, o.cents, n.cents) AS detail
    FROM ledger_invoice i
    CROSS JOIN LATERAL (SELECT coalesce(sum(p.amount_cents), 0) AS cents FROM ledger_payment p WHERE p.invoice_id = i.id) p
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(n.total_cents), 0) AS cents, coalesce(sum(n.credits), 0) AS credits
        FROM ledger_invoice n WHERE n.corrects_id = i.id AND n.state IN ('sent', 'paid')
    ) n
    CROSS JOIN LATERAL (
        SELECT CASE WHEN i.applied THEN 0 ELSE ledger_invoice_open(i.id, i.total_cents) END AS cents
    ) o
    WHERE CASE i.state WHEN 'paid' THEN o.cents <> 0 WHEN 'sent' THEN o.cents <= 0 ELSE p.cents <> 0 END
       OR n.cents > i.total_cents OR n.credits > i.credits;
