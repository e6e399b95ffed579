"""Videos in object storage: django-storages' S3 backend, as this system needs it.

What it does by itself is too much in three places. It holds all of a file's parts in memory while it stores them, its
file objects fetch a whole object before the first byte is read, and it makes a client, which costs a tenth of a second,
for each thread that comes along.
"""

import os
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from storages.backends.s3 import S3Storage
from storages.utils import clean_name
from structlog import get_logger

from batches.storage import Part

log = get_logger(__name__)

PART_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 30, 3
# Web threads and collecting threads of one process.
CONNECTIONS = 32
# Answers that say that the settings are wrong, rather than that the server is busy.
REFUSALS = {*range(300, 500)} - {408, 429}
NOT_FOUND = 404


class ObjectStorage(S3Storage):  # type: ignore[misc]  # It comes without types.
    """A bucket on any server of the S3 protocol: private objects, nothing overwritten, addresses signed with SigV4.

    `public_endpoint_url` is the server's address in signed addresses, where customers know it by another.
    """

    def __init__(self, *, addressing_style: str, public_endpoint_url: str | None = None, **options: Any) -> None:
        super().__init__(
            file_overwrite=False,
            default_acl=None,
            querystring_auth=True,
            client_config=_client_config(addressing_style),
            # One part after the other: many files are stored at once anyway.
            transfer_config=TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
            ),
            **options,
        )
        self._public_endpoint_url = public_endpoint_url or self.endpoint_url
        self._kept: tuple[int, Any, Any] | None = None

    @property
    def connection(self) -> Any:
        """This process's: a fork must not share its parent's connections. Its threads share the client, as they may."""
        return self._resources()[0]

    @property
    def bucket(self) -> Any:
        return self.connection.Bucket(self.bucket_name)

    def keep(self, name: str, path: Path) -> str:
        """Store a copy of a local file and return its name. A large one goes in parts, each read while it is sent."""
        free: str = self.get_available_name(name)
        self.bucket.Object(self._key(free)).upload_file(
            str(path), ExtraArgs=self._get_write_parameters(free), Config=self.transfer_config
        )
        return free

    def part(self, name: str, *, first: int, length: int) -> Part:
        """Ask for these bytes only, and return them as they come. Raises FileNotFoundError."""
        wanted = f"bytes={first}-{first + length - 1}"
        try:
            answer = self.connection.meta.client.get_object(**self._object(name), Range=wanted)
        except ClientError as error:
            if _status(error) == NOT_FOUND:
                raise FileNotFoundError(name) from error
            raise
        body: Part = answer["Body"]
        return body

    def signed_url(self, name: str, *, seconds: int, content_type: str, filename: str) -> str:
        """Return an address that gives anybody the object for so long."""
        wanted = {
            **self._object(name),
            "ResponseContentType": content_type,
            "ResponseContentDisposition": f'inline; filename="{filename}"',
        }
        client = self._resources()[1].meta.client
        address: str = client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)
        return address

    def names_in(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder."""
        _, files = self.listdir(folder)
        return [f"{folder}/{name}" for name in files]

    def refusal(self) -> str | None:
        """Return why we may not look into the bucket, in the server's word or boto's; None if we may.

        None too when the server does not answer: that says nothing about the settings.
        """
        try:
            self.connection.meta.client.list_objects_v2(Bucket=self.bucket_name, MaxKeys=1, Prefix=self.location)
        except (HTTPClientError, NoConnection) as error:
            log.warning("batches.bucket_unreachable", error=type(error).__name__)
        except ClientError as error:
            return str(error.response["Error"]["Code"]) if _status(error) in REFUSALS else None
        except BotoCoreError as error:  # There are no credentials, for instance.
            return type(error).__name__
        return None

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._key(name)}

    def _key(self, name: str) -> str:
        key: str = self._normalize_name(clean_name(name))
        return key

    def _resources(self) -> tuple[Any, Any]:
        """Return the connection, and the one that signs addresses, which never connects."""
        if self._kept is None or self._kept[0] != os.getpid():
            inside = self._resource(self.endpoint_url)
            outside = inside
            if self._public_endpoint_url != self.endpoint_url:
                outside = self._resource(self._public_endpoint_url)
            self._kept = os.getpid(), inside, outside
        return self._kept[1:]

    def _resource(self, endpoint_url: str | None) -> Any:
        return self._create_session().resource(
            "s3", region_name=self.region_name, endpoint_url=endpoint_url, config=self.client_config
        )


def _client_config(addressing_style: str) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing_style},
        # Not every server knows the checksums that boto adds of late.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
    )


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
