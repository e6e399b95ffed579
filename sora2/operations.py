"""Words for describing endpoints in OpenAPI: small pieces of JSON Schema, and an operation put together from them.

The schemas are written by hand, beside the code that makes the answers: a test holds real answers against them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema

from sora2.api import JSON_TYPE, PROBLEM_TYPE, PROBLEMS

Schema = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
CREDITS: Schema = {"type": "integer", "minimum": 0, "format": "int64"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
URL: Schema = {"type": "string", "format": "uri"}


def record(
    description: str = "",
    common: Mapping[str, Schema] | None = None,
    /,
    *,
    optional: Sequence[str] = (),
    **own: Schema,
) -> Schema:
    """Return an object with the `common` properties and its own; all but the `optional` ones are required."""
    properties = {**(common or {}), **own}
    schema: Schema = {"type": "object", "properties": properties}
    if description:
        schema["description"] = description
    if required := [name for name in properties if name not in optional]:
        schema["required"] = required
    return schema


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Schema, **limits: int) -> Schema:
    """Return an array, with minItems or maxItems if given."""
    return {"type": "array", "items": items, **limits}


def text(**limits: Any) -> Schema:
    """Return a string with limits such as maxLength."""
    return {**TEXT, **limits}


def free_text(**limits: Any) -> Schema:
    """Return a string that is kept as it was sent, with limits such as maxLength: it has no NUL."""
    return {**TEXT, "pattern": "^[^\\u0000]*$", **limits}


def choice(values: Sequence[str]) -> Schema:
    """Return a string that is one of `values`."""
    return {"type": "string", "enum": [str(value) for value in values]}


def identifier(prefix: str) -> Schema:
    """Return a public id with this prefix."""
    return {"type": "string", "pattern": f"^{prefix}_[0-9a-z]{{26}}$"}


def nullable(schema: Schema) -> Schema:
    """Return `schema`, or null."""
    if "type" in schema and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"oneOf": [schema, {"type": "null"}]}


def said(schema: Schema, description: str) -> Schema:
    """Return `schema` with a description."""
    return {**schema, "description": description}


def page(name: str) -> Schema:
    """Return a page of the component `name`."""
    return record(ok={"const": True}, data=list_of(ref(name)), next_cursor=nullable(TEXT))


def query(name: str, schema: Schema, description: str, *, empty: bool = True) -> Schema:
    """Return an optional query parameter; `empty` says that one without a value is as good as none."""
    parameter = {"name": name, "in": "query", "schema": schema, "description": description}
    return {**parameter, "allowEmptyValue": True} if empty else parameter


def header(name: str, schema: Schema, description: str) -> Schema:
    """Return an optional request header."""
    return {"name": name, "in": "header", "schema": schema, "description": description}


def in_path(name: str, prefix: str) -> Schema:
    """Return a path parameter that is an id."""
    what = name.removesuffix("_id")
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": identifier(prefix),
        "description": f"The id of the {what}, as an answer or a webhook gave it.",
    }


PAGING = (
    query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Rows of a page.", empty=False),
    query("cursor", {**TEXT, "minLength": 1}, "`next_cursor` of the page before, unchanged.", empty=False),
)
PERIOD = (
    query("created_after", INSTANT, "From this time on (inclusive)."),
    query("created_before", INSTANT, "Before this time (exclusive)."),
)
# Any request can meet these.
ALWAYS = ("invalid_api_key", "insufficient_scope", "rate_limited", "service_unavailable")
# Any request with a body can meet these.
UNREADABLE = ("malformed_json", "payload_too_large", "unsupported_media_type")
RATE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
SIGNATURE_HEADERS = (
    ("webhook-id", TEXT, "The event's id; the same over all retries."),
    ("webhook-timestamp", TEXT, "Unix seconds of this attempt."),
    (
        "webhook-signature",
        TEXT,
        "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`; several, separated by spaces.",
    ),
)


@dataclass(frozen=True)
class Answer:
    """A success: its schema by content type, the headers of its own, and an example.

    `instead` is what it may be as well, by content type, with examples of its own; the headers are then those of the
    first. Without a content type there is no body.
    """

    description: str
    schema: Schema
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    example: Any = None
    instead: Mapping[str, Schema] = field(default_factory=dict)

    def as_openapi(self) -> Schema:
        """Return the response object."""
        media: Schema = {"schema": self.schema}
        if self.example is not None:
            media["example"] = self.example
        own = {name: {"schema": TEXT, "description": text} for name, text in self.headers.items()}
        answer: Schema = {"description": self.description, "headers": {**_common_headers(*RATE_HEADERS), **own}}
        if not self.content_type:
            return answer
        others = {content_type: {"schema": schema} for content_type, schema in self.instead.items()}
        return {**answer, "content": {self.content_type: media, **others}}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One endpoint: what it answers, and by code what it refuses beside what any request can meet."""

    name: str
    tag: str
    summary: str
    scope: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: Sequence[Schema] = ()
    request: Schema | None = None
    request_required: bool = True
    request_example: Any = None
    errors: Sequence[str] = ()

    def as_openapi(self) -> Schema:
        """Return the operation object."""
        body = {"requestBody": self._request_body()} if self.request else {}
        return {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "description": f"{self.description} Needs a key with the scope `{self.scope}`.".lstrip(),
            "security": [{"ApiKey": []}],
            "parameters": list(self.parameters),
            **body,
            "responses": {
                **{str(status): answer.as_openapi() for status, answer in self.answers.items()},
                **_problems((*ALWAYS, *self.errors)),
            },
        }

    def _request_body(self) -> Schema:
        media: Schema = {"schema": self.request}
        if self.request_example is not None:
            media["example"] = self.request_example
        return {"required": self.request_required, "content": {JSON_TYPE: media}}


def webhook(name: str, summary: str, schema: Schema, example: Any) -> Schema:
    """Return what we send to a customer: an item of the section `webhooks`."""
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "description": "Signed by Standard Webhooks 1.0. Only 2xx is success; anything else is sent again.",
            "parameters": [{**header(*said), "required": True} for said in SIGNATURE_HEADERS],
            "requestBody": {"required": True, "content": {JSON_TYPE: {"schema": schema, "example": example}}},
            "responses": {"2XX": {"description": "It arrived."}},
        }
    }


def documented(operation: Operation) -> Callable[[F], F]:
    """Describe a view's method in the OpenAPI document, and keep the description with it."""

    def describe(method: F) -> F:
        described: F = extend_schema(operation=operation.as_openapi())(method)
        vars(described)["operation"] = operation
        return described

    return describe


def _problems(codes: Sequence[str]) -> dict[str, Schema]:
    """Return the responses for these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code][0], []).append(code)
    return {str(status): _problem(status, same) for status, same in sorted(by_status.items())}


def _problem(status: int, codes: Sequence[str]) -> Schema:
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
    names = RATE_HEADERS if status != 401 else ()
    retry = ("Retry-After",) if status in (429, 503) else ()
    return {
        "description": "; ".join(f"{PROBLEMS[code][1]} (`{code}`)" for code in codes) + ".",
        "headers": _common_headers(*names, *retry),
        "content": {
            PROBLEM_TYPE: {
                "schema": {"allOf": [ref("Problem"), narrowed]},
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _common_headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Trace-Id", *names)}
