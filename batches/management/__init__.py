"""Commands of the domain `batches`."""
