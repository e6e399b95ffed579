-- What was measured stays as it was measured, so that the report of a month that is over never changes.
CREATE TRIGGER batches_slaprobe_no_change BEFORE UPDATE OR DELETE ON batches_slaprobe FOR EACH ROW
    EXECUTE FUNCTION batches_refuse('batches_slaprobe_no_change', 'what a probe found never changes');
CREATE TRIGGER batches_slaprobe_no_truncate BEFORE TRUNCATE ON batches_slaprobe FOR EACH STATEMENT
    EXECUTE FUNCTION batches_refuse('batches_slaprobe_no_truncate', 'what probes found is kept');

ALTER TABLE batches_slaprobe ENABLE ALWAYS TRIGGER batches_slaprobe_no_change;
ALTER TABLE batches_slaprobe ENABLE ALWAYS TRIGGER batches_slaprobe_no_truncate;
