-- The figures of days are the sums of the entries up to the number that each wallet's say; of those past it they say
-- nothing yet. A day that should have figures and has none is a row too.
CREATE VIEW invariant_day_figures AS
    SELECT coalesce(d.wallet_id, e.wallet_id) AS subject,
           format('The figures of %s (UTC), of entries %s to %s, say %s reserved, %s settled and %s refunded; its entries, '
                  '%s to %s, add up to %s, %s and %s%s.', coalesce(d.day, e.day),
                  coalesce(d.after_seq + 1, 0), coalesce(d.through_seq, 0), ledger_figure(coalesce(d.reserved, 0)),
                  ledger_figure(coalesce(d.settled, 0)), ledger_figure(coalesce(d.refunded, 0)),
                  coalesce(e.after_seq + 1, 0), coalesce(e.through_seq, 0), ledger_figure(coalesce(e.reserved, 0)),
                  ledger_figure(coalesce(e.settled, 0)), ledger_figure(coalesce(e.refunded, 0)),
                  ': ' || nullif(concat_ws(', ',
                      ledger_surplus(coalesce(d.reserved, 0), coalesce(e.reserved, 0), 'reserved'),
                      ledger_surplus(coalesce(d.settled, 0), coalesce(e.settled, 0), 'settled'),
                      ledger_surplus(coalesce(d.refunded, 0), coalesce(e.refunded, 0), 'refunded')), '')) AS detail
    FROM ledger_walletday d
    FULL JOIN (
        SELECT c.wallet_id, (c.created_at AT TIME ZONE 'UTC')::date AS day, min(c.seq) - 1 AS after_seq,
               max(c.seq) AS through_seq,
               count(*) FILTER (WHERE c.kind = 'reserve') AS reserves,
               count(*) FILTER (WHERE c.kind = 'settle') AS settles,
               count(*) FILTER (WHERE c.kind = 'refund') AS refunds,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'reserve'), 0) AS reserved,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'settle'), 0) AS settled,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'refund'), 0) AS refunded
        FROM credit_ledger c
        JOIN (SELECT wallet_id, max(through_seq) AS upto FROM ledger_walletday GROUP BY 1) w
            ON w.wallet_id = c.wallet_id AND c.seq <= w.upto
        GROUP BY 1, 2
    ) e ON e.wallet_id = d.wallet_id AND e.day = d.day
    WHERE (d.after_seq, d.through_seq, d.reserves, d.settles, d.refunds, d.reserved, d.settled, d.refunded)
          IS DISTINCT FROM
          (e.after_seq, e.through_seq, e.reserves, e.settles, e.refunds, e.reserved, e.settled, e.refunded);
