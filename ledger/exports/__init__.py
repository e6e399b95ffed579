"""The books as files: CSV, XLSX and Beancount of the same entries, streamed."""
