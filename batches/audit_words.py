"""What the acts of the audit log are called on its page, whether they were done or refused.

A test finds each act that the code writes here.
"""

from collections.abc import Mapping

ACTS: Mapping[str, str] = {
    # signing in
    "session.sign_in": "sign in",
    "session.sign_out": "sign out",
    "session.sign_out_everywhere": "sign out everywhere",
    "session.expire": "end of a session that lasted too long",
    "session.confirm": "confirm with the password",
    "password.change": "change one's password",
    "two_step.set_up": "set up two-step sign-in",
    "two_step.code": "give a code",
    "two_step.recovery_code": "give a recovery code",
    "two_step.renew_codes": "renew one's recovery codes",
    "two_step.turn_off": "turn two-step sign-in off",
    "two_step.reset": "reset two-step sign-in",
    "staff.create": "make a member of staff",
    # money
    "credits.request": "ask for credits",
    "credits.approve": "approve credits",
    "credits.reject": "reject credits",
    "wallet.low_threshold": "set the threshold of a wallet",
    "period.close": "close a month",
    "ledger.export": "export a ledger",
    "ledger.check": "check every credit",
    "audit.export": "export the audit log",
    # work
    "batch.submit": "submit a batch",
    "batch.cancel": "cancel a batch",
    "batch.retry": "retry what failed of a batch",
    "batch.export": "export a list of batches",
    "batch.sign_off": "sign a batch off",
    "batch.results": "download the results of a batch",
    "item.link": "make a link to a video",
    "outputs.swept": "remove files that no record names",
    # customers
    "pilot.provision": "make a pilot",
    "organization.plan": "change a customer's plan or its terms",
    "pilot.tick": "tick a line of a pilot's checklist",
    "pilot.untick": "take back a tick of a pilot's checklist",
    "preflight.run": "run the preflight",
    "lead.create": "write a lead down",
    "lead.change": "change the contact of a lead",
    "lead.move": "move a lead to another stage",
    "lead.note": "write something down about a lead",
    "lead.lose": "give a lead up",
    "lead.take_up": "take a lead up again",
    "signal.record": "record a signal",
    "review.answer": "record an answer of a review",
    "pilot.move_start": "move the start of a pilot",
    "pilot.record_failure": "record a pilot's failure",
    "pilot.withdraw_failure": "withdraw a pilot's failure",
    "pilot.close": "close a pilot",
    "handover.make": "hand secrets over by a link",
    "handover.renew": "make a new link for secrets",
    "handover.withdraw": "withdraw secrets",
    "handover.reveal": "reveal secrets by a link",
    "sales_mail.send": "send a mail of sales",
    "sales_mail.copy": "copy a mail of sales",
    "organization.settings": "change an account's settings",
    "organization.retention": "change how long videos are kept",
    "organization.rotate_default_secret": "rotate the default webhook secret",
    "person.invite": "invite somebody",
    "person.withdraw_invitation": "withdraw an invitation",
    "person.join": "join an organization",
    "person.change_role": "change somebody's role",
    "person.remove": "remove somebody",
    "person.password_link": "make a link for a new password",
    "person.replace_password": "replace a password that was never used",
    "person.set_password": "set a new password by a link",
    "key.create": "make an API key",
    "key.rotate": "rotate an API key",
    "key.rename": "rename an API key",
    "key.revoke": "revoke an API key",
    "key.use": "use an API key",
    # telling
    "webhook_endpoint.create": "make a webhook endpoint",
    "webhook_endpoint.change": "change a webhook endpoint",
    "webhook_endpoint.delete": "delete a webhook endpoint",
    "webhook_endpoint.disable": "disable a webhook endpoint",
    "webhook_endpoint.rotate_secret": "rotate a webhook secret",
    "webhook_endpoint.test": "send a test webhook",
    "webhook_endpoint.replay": "replay webhooks",
    "webhook_delivery.redeliver": "send a webhook again",
    # what is on offer
    "route.create": "make a route",
    "route.change": "change a route",
    "route.pause": "pause a route",
    "route.resume": "resume a route",
    "model.create": "make a model",
    "model.change": "change a model",
    "prices.publish": "write a price list",
}


def in_words(action: str) -> str:
    """Return an act in words; one of an earlier release that nobody writes any more as it is stored."""
    return ACTS.get(action, action.replace(".", ": ").replace("_", " "))
