"""What the acts of the audit log are called on its page; a test finds each act that the code writes here."""

from collections.abc import Mapping

ACTS: Mapping[str, str] = {
    # signing in
    "session.sign_in": "signed in",
    "session.sign_out": "signed out",
    "session.sign_out_everywhere": "signed out everywhere",
    "session.expire": "was signed out by the system",
    "session.confirm": "gave a wrong password to confirm",
    "password.change": "changed their password",
    "two_step.set_up": "set up two-step sign-in",
    "two_step.code": "gave a wrong code",
    "two_step.recovery_code": "gave a recovery code",
    "two_step.renew_codes": "renewed their recovery codes",
    "two_step.turn_off": "turned two-step sign-in off",
    "two_step.reset": "reset two-step sign-in",
    "staff.create": "made a member of staff",
    # money
    "credits.request": "asked for credits",
    "credits.approve": "approved credits",
    "credits.reject": "rejected credits",
    "wallet.low_threshold": "set the threshold of a wallet",
    "period.close": "closed a month",
    "ledger.export": "exported a ledger",
    "ledger.check": "checked every credit",
    "audit.export": "exported the audit log",
    # work
    "batch.submit": "submitted a batch",
    "batch.cancel": "canceled a batch",
    "batch.sign_off": "signed a batch off",
    "outputs.swept": "removed files that no record names",
    # customers
    "pilot.provision": "made a pilot",
    "organization.retention": "changed how long videos are kept",
    "organization.rotate_default_secret": "rotated the default webhook secret",
    "key.create": "made an API key",
    "key.rotate": "rotated an API key",
    "key.revoke": "revoked an API key",
    "key.use": "used an API key",
    # telling
    "webhook_endpoint.create": "made a webhook endpoint",
    "webhook_endpoint.change": "changed a webhook endpoint",
    "webhook_endpoint.delete": "deleted a webhook endpoint",
    "webhook_endpoint.disable": "disabled a webhook endpoint",
    "webhook_endpoint.rotate_secret": "rotated a webhook secret",
    "webhook_endpoint.test": "sent a test webhook",
    "webhook_endpoint.replay": "replayed webhooks",
    "webhook_delivery.redeliver": "sent a webhook again",
    # what is on offer
    "route.create": "made a route",
    "route.change": "changed a route",
    "route.pause": "paused a route",
    "route.resume": "resumed a route",
    "model.create": "made a model",
    "model.change": "changed a model",
    "prices.publish": "wrote a price list",
}


def in_words(action: str) -> str:
    """Return an act in words; one of an earlier release that nobody writes any more as it is stored."""
    return ACTS.get(action, action.replace(".", ": ").replace("_", " "))
