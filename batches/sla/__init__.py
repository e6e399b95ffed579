"""What was promised to customers under contract, measured: availability by probes, and refunds. Never for a pilot."""
