"""What a pilot is and what it is not, in the words that every customer gets: never another wording."""

BOUNDARY = """\
This pilot runs on a best-effort basis with prepaid credits.
Failed items are automatically refunded.
No SLA is included at this stage."""
