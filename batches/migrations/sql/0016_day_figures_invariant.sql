-- The figures of days are the sums of the entries up to the number that each wallet's say; of those past it they say
-- nothing yet. A day that should have figures and has none is a row too.
CREATE VIEW invariant_day_figures AS
    SELECT coalesce(d.wallet_id, e.wallet_id) AS subject,
           format('The figures of %s (UTC) say %s reserved, %s settled and %s refunded up to entry %s; its entries add up '
                  'to %s, %s and %s up to entry %s%s.', coalesce(d.day, e.day),
                  ledger_figure(coalesce(d.reserved, 0)), ledger_figure(coalesce(d.settled, 0)),
                  ledger_figure(coalesce(d.refunded, 0)), coalesce(d.through_seq, 0),
                  ledger_figure(coalesce(e.reserved, 0)), ledger_figure(coalesce(e.settled, 0)),
                  ledger_figure(coalesce(e.refunded, 0)), coalesce(e.through_seq, 0),
                  ': ' || nullif(concat_ws(', ',
                      ledger_surplus(coalesce(d.reserved, 0), coalesce(e.reserved, 0), 'reserved'),
                      ledger_surplus(coalesce(d.settled, 0), coalesce(e.settled, 0), 'settled'),
                      ledger_surplus(coalesce(d.refunded, 0), coalesce(e.refunded, 0), 'refunded')), '')) AS detail
    FROM ledger_walletday d
    FULL JOIN (
        SELECT c.wallet_id, (c.created_at AT TIME ZONE 'UTC')::date AS day, max(c.seq) AS through_seq,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'reserve'), 0) AS reserved,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'settle'), 0) AS settled,
               coalesce(sum(c.amount) FILTER (WHERE c.kind = 'refund'), 0) AS refunded
        FROM credit_ledger c
        JOIN (SELECT wallet_id, max(through_seq) AS upto FROM ledger_walletday GROUP BY 1) w
            ON w.wallet_id = c.wallet_id AND c.seq <= w.upto
        GROUP BY 1, 2
    ) e ON e.wallet_id = d.wallet_id AND e.day = d.day
    WHERE (d.through_seq, d.reserved, d.settled, d.refunded) IS DISTINCT FROM (e.through_seq, e.reserved, e.settled, e.refunded);
