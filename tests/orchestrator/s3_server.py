"""An S3-compatible server on this machine, which can be away for a while and then has what it had."""

from __future__ import annotations

import logging
import threading

import boto3
from moto.moto_api._internal.models import moto_api_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "searches"


class S3:
    """The server, started; `uri` is a folder in its only bucket."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        moto_api_backend.reset()
        self.port = 0
        self.start()
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1")
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def uri(self) -> str:
        return self.uri_of(f"{BUCKET}/here")

    def uri_of(self, place: str) -> str:
        return f"s3://{place}?scheme=http&endpoint_override=127.0.0.1:{self.port}&region=us-east-1"

    def start(self) -> None:
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self.port, application, threaded=True)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nobody answers any more; the objects are kept for `start`."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def names(self) -> list[str]:
        """Of all objects below `uri`, without those that stand for folders."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="here/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return [key.removeprefix("here/") for key in keys if not key.endswith("/")]

    def damage(self, name: str) -> None:
        """Change a byte in the middle of an object."""
        content = bytearray(self.client.get_object(Bucket=BUCKET, Key=f"here/{name}")["Body"].read())
        content[len(content) // 2] ^= 0xFF
        self.client.put_object(Bucket=BUCKET, Key=f"here/{name}", Body=bytes(content))
