-- What was signed and sent is evidence: an event never changes.
CREATE FUNCTION webhooks_refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an event never changes: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'webhooks_event_no_change';
END $$;

CREATE TRIGGER webhooks_event_no_change BEFORE UPDATE OR DELETE ON webhooks_event
    FOR EACH ROW EXECUTE FUNCTION webhooks_refuse_event_change();
ALTER TABLE webhooks_event ENABLE ALWAYS TRIGGER webhooks_event_no_change;
