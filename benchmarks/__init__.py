"""What the figures are measured with: `.venv/bin/python -m benchmarks.NAME`. Each measures its baseline too."""
