-- A delivery follows its endpoint's address: one that has moved since is the address that the batch named.
CREATE OR REPLACE VIEW invariant_end_is_told AS
    SELECT b.id AS subject, format('The %s batch was to be told to %s, and no delivery to there exists.', b.state, b.webhook_url) AS detail
    FROM batches_batch b
    JOIN webhooks_event v ON v.reference = b.id AND v.type = 'batch.completed'
    WHERE b.webhook_url <> ''
      AND NOT EXISTS (
          SELECT FROM webhooks_delivery d LEFT JOIN webhooks_endpoint p ON p.id = d.endpoint_id
          WHERE d.event_id = v.id AND (d.url = b.webhook_url OR p.moved_at > v.created_at));
