"""Invoices: what customers pay for credits, on paper. Drafted, sent, paid (also in parts) or void; credit notes."""
