-- What was once on a price list stays: a batch names the version that it was accepted at.
CREATE TRIGGER batches_pricelist_no_change BEFORE UPDATE OR DELETE ON batches_pricelist FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_pricelist_no_change', 'a price list never changes: write a new one');
CREATE TRIGGER batches_price_no_change BEFORE UPDATE OR DELETE ON batches_price FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_price_no_change', 'a price never changes: write a new price list');
-- Items name their models for ever; a model that is not offered any more is retired.
CREATE TRIGGER batches_cataloguemodel_no_delete BEFORE DELETE ON batches_cataloguemodel FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_cataloguemodel_no_delete', 'a model is retired, not deleted');

ALTER TABLE batches_pricelist ENABLE ALWAYS TRIGGER batches_pricelist_no_change;
ALTER TABLE batches_price ENABLE ALWAYS TRIGGER batches_price_no_change;
ALTER TABLE batches_cataloguemodel ENABLE ALWAYS TRIGGER batches_cataloguemodel_no_delete;

ALTER TABLE batches_cataloguemodel ADD CONSTRAINT batches_cataloguemodel_default_is_offered
    CHECK (default_seconds = ANY (seconds));

-- The key of an item to the one it tries anew, not deferrable: COPY checks it before any wallet is locked.
ALTER TABLE batches_item ADD CONSTRAINT batches_item_retry_of_exists
    FOREIGN KEY (retry_of_id) REFERENCES batches_item (id) NOT DEFERRABLE;
