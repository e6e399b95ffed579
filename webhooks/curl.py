"""An event as shell commands, to try a receiver with it."""

import shlex
from textwrap import dedent

from webhooks.models import Event


def curl(event: Event) -> str:
    """Return shell commands that post an event's exact body to a receiver on one's own machine.

    They sign it there and then, for a receiver refuses what was signed long ago; the secret is the reader's to fill in.
    """
    command = """\
        RECEIVER=${RECEIVER:-http://127.0.0.1:8000/webhook}
        : "${WEBHOOK_SECRET:?export the secret that your receiver knows}"
        BODY=%(body)s
        TIMESTAMP=$(date +%%s)
        KEY=$(printf %%s "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')
        SIGNATURE=v1,$(printf '%%s.%%s.%%s' %(id)s "$TIMESTAMP" "$BODY" |
          openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | openssl base64 -A)
        curl -X POST "$RECEIVER" -H 'Content-Type: application/json' \\
          -H 'webhook-id: %(id)s' -H "webhook-timestamp: $TIMESTAMP" -H "webhook-signature: $SIGNATURE" \\
          --data-raw "$BODY"
        """
    return dedent(command) % {"id": event.pk, "body": shlex.quote(event.body)}
