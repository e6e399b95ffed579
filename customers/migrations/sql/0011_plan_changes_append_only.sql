CREATE FUNCTION customers_refuse_plan_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was agreed with a customer stays on record: % refused', TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'customers_planchange_append_only';
END $$;

CREATE TRIGGER customers_planchange_no_change BEFORE UPDATE OR DELETE ON customers_planchange
    FOR EACH ROW EXECUTE FUNCTION customers_refuse_plan_change();
ALTER TABLE customers_planchange ENABLE ALWAYS TRIGGER customers_planchange_no_change;
