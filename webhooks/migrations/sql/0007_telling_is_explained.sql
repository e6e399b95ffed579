-- The nightly self-check of telling: each view must return no row.

-- Endpoints come and go beside the transactions that publish: what was so within a minute is not judged.
CREATE VIEW invariant_event_reaches_endpoints AS
    SELECT e.id AS subject,
           format('The %s event about %s has no delivery to the endpoint %s, which was there.', e.type, e.reference, p.id) AS detail
    FROM webhooks_event e
    JOIN webhooks_endpoint p ON p.organization_id = e.organization_id AND p.mode = e.mode
        AND p.created_at < e.created_at - interval '1 minute'
        AND (p.deleted_at IS NULL OR p.deleted_at > e.created_at + interval '1 minute')
    WHERE e.type NOT IN ('webhook.test', 'item.succeeded', 'item.failed')
      AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.event_id = e.id AND d.lane = p.id)
    UNION ALL
    -- These are written because somebody has asked for them.
    SELECT e.id, format('The %s event about %s has no delivery.', e.type, e.reference)
    FROM webhooks_event e
    WHERE e.type IN ('webhook.test', 'item.succeeded', 'item.failed')
      AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.event_id = e.id);

CREATE VIEW invariant_delivery_is_explained AS
    SELECT d.id AS subject,
           CASE d.state
               WHEN 'skipped' THEN format('The delivery to %s was skipped without a reason.', d.url)
               WHEN 'delivered' THEN format('The delivery to %s counts as delivered, and no attempt was taken.', d.url)
               WHEN 'exhausted' THEN format('The delivery to %s was given up without an attempt.', d.url)
           END AS detail
    FROM webhooks_delivery d
    WHERE (d.state = 'skipped' AND d.skipped_reason = '')
       OR (d.state = 'delivered' AND NOT EXISTS (
           SELECT FROM webhooks_attempt a
           WHERE a.delivery_id = d.id AND a.error = '' AND a.status_code BETWEEN 200 AND 299))
       OR (d.state = 'exhausted' AND NOT EXISTS (SELECT FROM webhooks_attempt a WHERE a.delivery_id = d.id))
    UNION ALL
    SELECT d.id, format('The delivery to %s belongs to %s in %s mode, its event to %s in %s mode.',
                        d.url, d.organization_id, d.mode, e.organization_id, e.mode)
    FROM webhooks_delivery d JOIN webhooks_event e ON e.id = d.event_id
    WHERE (d.organization_id, d.mode) IS DISTINCT FROM (e.organization_id, e.mode);
