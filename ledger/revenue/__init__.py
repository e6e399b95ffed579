"""What credits were worth: lots, deferred and recognized revenue, the journal. All derived from the ledger."""
