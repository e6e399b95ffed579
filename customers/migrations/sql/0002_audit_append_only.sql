CREATE FUNCTION customers_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'customers_audit_append_only';
END $$;

CREATE TRIGGER customers_audit_no_change BEFORE UPDATE OR DELETE ON customers_auditevent
    FOR EACH ROW EXECUTE FUNCTION customers_refuse_audit_change();
ALTER TABLE customers_auditevent ENABLE ALWAYS TRIGGER customers_audit_no_change;
