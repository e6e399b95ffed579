"""A real S3 server on loopback for tests: moto's, over HTTP, with every request noted and failures on demand."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

BUCKET, PREFIX = "videos", "production"
KEYS = {"aws_access_key_id": "AKIATESTTESTTEST", "aws_secret_access_key": "secret"}


@dataclass(frozen=True)
class Request:
    """One request that the server got, by its method, the object's key, and its headers and query."""

    method: str
    key: str
    headers: dict[str, str]
    query: str
    length: int

    @property
    def is_put(self) -> bool:
        return self.method == "PUT"


class S3Server:
    """Serves one bucket. Requests that `refuses` is true of are answered 503, as a busy server does."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_port}"
        self.requests: list[Request] = []
        self.refuses: Callable[[Request], bool] = lambda _: False

    @property
    def client(self) -> Any:
        """A client of the test's own. What it asks is noted too."""
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        return boto3.client("s3", endpoint_url=self.endpoint_url, region_name="us-east-1", config=config, **KEYS)

    def names(self) -> set[str]:
        """Return the keys of all objects, without the prefix that they must have."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        assert all(key.startswith(f"{PREFIX}/") for key in keys), keys
        return {key.removeprefix(f"{PREFIX}/") for key in keys}

    def content(self, name: str) -> bytes:
        """Return an object's bytes."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")["Body"].read()
        return content

    def put(self, name: str, content: bytes = b"x") -> str:
        """Store an object past our own code."""
        self.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content)
        return name

    def asked(self, method: str, name: str) -> list[Request]:
        """Return the requests of this method for an object."""
        return [one for one in self.requests if one.method == method and one.key == f"{PREFIX}/{name}"]

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def storages(self, **changes: Any) -> dict[str, dict[str, Any]]:
        """Return the setting STORAGES that makes this bucket the default storage."""
        options = {
            "bucket_name": BUCKET,
            "location": PREFIX,
            "endpoint_url": self.endpoint_url,
            "region_name": "us-east-1",
            "access_key": KEYS["aws_access_key_id"],
            "secret_key": KEYS["aws_secret_access_key"],
            "addressing_style": "path",
            **changes,
        }
        static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
        return {
            "default": {"BACKEND": "batches.object_storage.ObjectStorage", "OPTIONS": options},
            "staticfiles": static,
        }

    def environment(self) -> dict[str, str]:
        """Return the environment that makes this bucket the default storage."""
        return {
            "S3_BUCKET": BUCKET,
            "S3_PREFIX": PREFIX,
            "S3_ENDPOINT_URL": self.endpoint_url,
            "S3_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "S3_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
        }

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {name[5:].lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        request = Request(
            method=environ["REQUEST_METHOD"],
            key=environ["PATH_INFO"].removeprefix(f"/{BUCKET}").lstrip("/"),
            headers=headers,
            query=environ.get("QUERY_STRING", ""),
            length=int(environ.get("CONTENT_LENGTH") or 0),
        )
        self.requests.append(request)
        if self.refuses(request):
            environ["wsgi.input"].read(request.length)
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run the server with an empty bucket."""
    server = S3Server()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        _empty_bucket(server)
        yield server
    finally:
        server.refuses = lambda _: False
        server.close()
        thread.join(10)


def _empty_bucket(server: S3Server) -> None:
    """Moto keeps its buckets for the whole process."""
    client = server.client
    if any(bucket["Name"] == BUCKET for bucket in client.list_buckets()["Buckets"]):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for each in page.get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=each["Key"])
    else:
        client.create_bucket(Bucket=BUCKET)
    server.requests.clear()
