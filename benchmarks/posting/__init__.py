"""What benchmarks.ledger measures: the books, and the contenders from SQL and from Python."""
