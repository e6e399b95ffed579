"""One REDIS_URL, written as redis-py reads it, in the forms that others want for a unix socket."""


def broker_url(redis_url: str) -> str:
    """Return `redis_url` for kombu: `unix:///path?db=1` is `redis+socket:///path?virtual_host=1` there.

    With `?db=` kombu would connect too, but always to database 0.
    """
    if not redis_url.startswith("unix://"):
        return redis_url
    return redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)


def limits_url(redis_url: str) -> str:
    """Return `redis_url` for `limits`: `unix://…` is `redis+unix://…` there."""
    return redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
