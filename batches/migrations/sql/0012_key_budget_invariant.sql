-- What a key has used is what its batches hold and what they were charged. Of an open batch nothing is refunded yet.
CREATE VIEW invariant_key_budget AS
    SELECT k.id AS subject,
           format('The key has used %s by its count; its batches hold and were charged %s: %s.', ledger_credits(k.used_credits),
                  ledger_figure(coalesce(b.credits, 0)), ledger_surplus(k.used_credits, coalesce(b.credits, 0), 'counted')) AS detail
    FROM customers_apikey k
    LEFT JOIN (
        SELECT created_by, sum(credits - refunded) AS credits FROM batches_batch GROUP BY created_by
    ) b ON b.created_by = k.id
    WHERE k.used_credits <> coalesce(b.credits, 0);
