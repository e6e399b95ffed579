-- Deliveries say whose they are and in which lane they wait, and attempts to which endpoint they went.
UPDATE webhooks_delivery d
SET organization_id = e.organization_id, mode = e.mode,
    lane = coalesce(d.endpoint_id, left(encode(sha256(convert_to(e.organization_id || ' ' || d.url, 'UTF8')), 'hex'), 32))
FROM webhooks_event e WHERE e.id = d.event_id;

UPDATE webhooks_attempt a SET endpoint_id = d.endpoint_id
FROM webhooks_delivery d WHERE d.id = a.delivery_id AND d.endpoint_id IS NOT NULL;
