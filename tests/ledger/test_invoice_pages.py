"""The pages of invoices: who sees which, and what stands on them. Every address: tests.dashboard."""
