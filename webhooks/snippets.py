"""Programs that verify a signature, ready to be run: of one delivery, and for a new receiver.

Those of one delivery compute the HMAC with nothing but the language's own library: the libraries of Standard Webhooks
refuse, as a receiver must, what was signed more than five minutes ago.
"""

import json
import shlex
from dataclasses import dataclass

HOLDS = "The signature holds."
HOLDS_NOT = "The signature does not hold: another secret signed it, or the body has changed."


@dataclass(frozen=True)
class Signed:
    """One message as it was signed. Without `body` a program reads it from its standard input."""

    event_id: str
    timestamp: int
    signature: str
    body: str | None

    @property
    def start(self) -> str:
        """Return what is signed before the body."""
        return f"{self.event_id}.{self.timestamp}."


@dataclass(frozen=True)
class Snippet:
    """A program in a language, and the command that runs it once it was saved under its name."""

    language: str
    command: str
    text: str


def snippets_of(message: Signed) -> list[Snippet]:
    """Return programs that say whether the secret in WEBHOOK_SECRET signed a message. They exit with 0 if it did."""
    given = "" if message.body is not None else " < body.json"
    return [
        Snippet("Python", f"python3 verify.py{given}", _python(message)),
        Snippet("Node", f"node verify.mjs{given}", _node(message)),
        Snippet("PHP", f"php verify.php{given}", _php(message)),
        Snippet("Shell", f"sh verify.sh{given}", _shell(message)),
    ]


def _python(message: Signed) -> str:
    body = "sys.stdin.buffer.read()" if message.body is None else f"{message.body!r}.encode()"
    return f"""\
import base64, hashlib, hmac, os, sys

key = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
body = {body}
expected = hmac.new(key, b"{message.start}" + body, hashlib.sha256).digest()
signature = "v1," + base64.b64encode(expected).decode()
holds = any(hmac.compare_digest(signature, given) for given in "{message.signature}".split())
print("{HOLDS}" if holds else "{HOLDS_NOT}")
sys.exit(not holds)
"""


def _node(message: Signed) -> str:
    body = "readFileSync(0)" if message.body is None else json.dumps(message.body, ensure_ascii=False)
    reads = 'import { readFileSync } from "node:fs";\n' if message.body is None else ""
    return f"""\
import {{ createHmac }} from "node:crypto";
{reads}
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const body = {body};
const signature = createHmac("sha256", key).update("{message.start}").update(body).digest("base64");
const holds = "{message.signature}".split(" ").includes(`v1,${{signature}}`);
console.log(holds ? "{HOLDS}" : "{HOLDS_NOT}");
process.exitCode = holds ? 0 : 1;
"""


def _php(message: Signed) -> str:
    body = "file_get_contents('php://stdin')" if message.body is None else _quoted_in_php(message.body)
    return f"""\
<?php
$key = base64_decode(preg_replace('/^whsec_/', '', getenv('WEBHOOK_SECRET')));
$body = {body};
$signature = 'v1,' . base64_encode(hash_hmac('sha256', '{message.start}' . $body, $key, true));
$holds = in_array($signature, explode(' ', '{message.signature}'), true);
echo $holds ? '{HOLDS}' : '{HOLDS_NOT}', "\\n";
exit($holds ? 0 : 1);
"""


def _quoted_in_php(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _shell(message: Signed) -> str:
    body = "cat" if message.body is None else f"printf %s {shlex.quote(message.body)}"
    return f"""\
KEY=$(printf %s "${{WEBHOOK_SECRET#whsec_}}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=v1,$({{ printf %s {message.start}; {body}; }} |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | openssl base64 -A)
case " {message.signature} " in
  *" $SIGNATURE "*) echo "{HOLDS}" ;;
  *) echo "{HOLDS_NOT}"; exit 1 ;;
esac
"""


# How a receiver verifies what comes, in the words of the guide: shown beside a new secret.
RECEIVERS = [
    Snippet(
        "Python",
        "pip install standardwebhooks",
        """\
import os
from standardwebhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])


def event_of(headers, body):
    \"\"\"Return the event; `body` as it came, in bytes. Raises when it is not from us, or old: then answer 400.\"\"\"
    return webhook.verify(body, {name.lower(): value for name, value in headers.items()})
""",
    ),
    Snippet(
        "Node",
        "npm install standardwebhooks",
        """\
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

// Return the event; `body` as it came, a Buffer. Throws when it is not from us, or old: then answer 400.
export const eventOf = (headers, body) => webhook.verify(body, headers);
""",
    ),
]
