-- What a new system offers. Staff edit it from here on. A route without an address takes it from the environment.
INSERT INTO batches_route (name, kind, base_url, api_key_encrypted, api_key_variable, paused_by, paused_reason)
VALUES ('openai', 'openai', '', '', '', '', ''),
       ('simulator', 'openai', '', '', '', '', '');

INSERT INTO batches_cataloguemodel (name, provider_model, seconds, default_seconds, sizes, position)
VALUES ('sora-2', '', '{4,8,12}', 4, '{1280x720,720x1280}', 1),
       ('sora-2-pro', '', '{4,8,12}', 4, '{1280x720,720x1280,1792x1024,1024x1792}', 2),
       ('veo-3', '', '{4,6,8}', 8, '{1280x720,720x1280,1920x1080,1080x1920}', 3);

INSERT INTO batches_pricelist (version, effective_from, created_at, created_by, reason)
VALUES ('2026-01-24', '2026-01-24 00:00:00+00', now(), 'system', 'The first prices');

INSERT INTO batches_price (price_list_id, model_id, credits, base_seconds)
VALUES ('2026-01-24', 'sora-2', 10, 4),
       ('2026-01-24', 'sora-2-pro', 30, 4),
       ('2026-01-24', 'veo-3', 97, 8);
