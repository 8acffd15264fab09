"""Object stores on this machine: what ``s3://``, ``gs://``, ``hf://`` and ``http://`` are tested against.

Each counts the bytes of file contents that it sends, can break off in the middle of them, and can refuse.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from huggingface_hub.utils.logging import set_verbosity_error
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it would ask Google's real servers
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # says every request
set_verbosity_error()  # or it says every new attempt

REPOSITORY = "someone/network"
BUCKET = "bucket"
COMMIT = "0" * 40


class Store:
    """A server in a thread of its own."""

    scheme = ""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent = 0
        self.breaking = False
        self.refusing = False
        self.server = self.serve()
        self.server.handle_error = lambda *_: None  # a client that has seen enough hangs up
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self):
        handler = type("Own", (self.Handler,), {"store": self})
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def put(self, name: str, data: bytes) -> str:
        """Keep a file; its URL."""
        self.files[name] = data
        return self.url(name)

    def url(self, name: str) -> str:
        return f"{self.scheme}://{BUCKET}/{name}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    class Handler(BaseHTTPRequestHandler):
        """Files by range; the stores' own interfaces above it."""

        store: Store

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.handle_request()

        def do_GET(self) -> None:
            self.handle_request()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.handle_request()

        def handle_request(self) -> None:
            parts = urlsplit(self.path)
            if self.store.refusing:
                self.refuse()
            else:
                self.answer(unquote(parts.path), parse_qs(parts.query))

        def refuse(self) -> None:
            self.json({"error": {"code": 403, "message": "no access for you"}}, 403)

        def answer(self, path: str, query: dict[str, list[str]]) -> None:
            self.contents(path.removeprefix("/"))

        def json(self, value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            for name, text in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
                self.send_header(name, text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def contents(self, name: str) -> None:
            data = self.store.files.get(name)
            if data is None:
                self.json({"error": {"code": 404, "message": "no such file"}}, 404, [("X-Error-Code", "EntryNotFound")])
                return
            total, wanted = len(data), self.headers.get("Range")
            if wanted:
                first, last = wanted.removeprefix("bytes=").split("-")
                data = data[int(first) : int(last) + 1 if last else None]
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{total}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", '"0"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "HEAD":
                return
            data = data[: len(data) // 2] if self.store.breaking else data
            self.store.sent += len(data)
            self.wfile.write(data)


class Web(Store):
    """Plain HTTP."""

    scheme = "http"

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


class Google(Store):
    """Google Cloud Storage: https://cloud.google.com/storage/docs/json_api/v1/objects"""

    scheme = "gs"

    class Handler(Store.Handler):
        def answer(self, path: str, query: dict[str, list[str]]) -> None:
            *_, folder, name = path.partition(f"/b/{BUCKET}/o")
            name = name.removeprefix("/")
            if not folder:
                self.json({"error": {"code": 404, "message": "The specified bucket does not exist."}}, 404)
            elif name and (path.startswith("/download") or query.get("alt") == ["media"]):
                self.contents(name)
            elif name in self.store.files:
                self.json(self.record(name))
            elif name:
                self.json({"error": {"code": 404, "message": "No such object"}}, 404)
            else:
                prefix = query.get("prefix", [""])[0]
                found = [each for each in self.store.files if each.startswith(prefix)]
                self.json({"kind": "storage#objects", "items": list(map(self.record, found))} if found else {})

        def record(self, name: str) -> dict[str, str]:
            size = str(len(self.store.files[name]))
            return {"kind": "storage#object", "name": name, "bucket": BUCKET, "size": size, "generation": "1"}


class HuggingFace(Store):
    """The Hugging Face hub: https://huggingface.co/docs/hub/api"""

    scheme = "hf"

    def url(self, name: str) -> str:
        return f"hf://{REPOSITORY}/{name}"

    class Handler(Store.Handler):
        def refuse(self) -> None:
            self.json({"error": "Access to this model is restricted."}, 403, [("X-Error-Code", "GatedRepo")])

        def answer(self, path: str, query: dict[str, list[str]]) -> None:
            if path.startswith(f"/{REPOSITORY}/resolve/main/"):
                self.contents(path.removeprefix(f"/{REPOSITORY}/resolve/main/"))
            elif path.startswith(f"/api/models/{REPOSITORY}/tree/main"):
                folder = path.removeprefix(f"/api/models/{REPOSITORY}/tree/main").strip("/")
                inside = f"{folder}/" if folder else ""
                rest = {name: name[len(inside) :] for name in self.store.files if name.startswith(inside)}
                folders = {each.partition("/")[0] for each in rest.values() if "/" in each}
                found = [self.record(name) for name, each in rest.items() if "/" not in each]
                self.json([*found, *({"type": "directory", "path": inside + each, "oid": COMMIT} for each in folders)])
            elif path.startswith(f"/api/models/{REPOSITORY}/paths-info"):
                self.json([self.record(name) for name in self.store.files])
            elif path.startswith(f"/api/models/{REPOSITORY}"):
                self.json({"id": REPOSITORY, "sha": COMMIT, "siblings": [], "tags": []})
            else:  # the hub does not tell a stranger whether there is a private one
                self.json({"error": "Invalid username or password."}, 401)

        def record(self, name: str) -> dict[str, object]:
            return {"type": "file", "path": name, "size": len(self.store.files[name]), "oid": COMMIT}


class Amazon(Store):
    """S3, by moto."""

    scheme = "s3"

    def serve(self):
        return make_server("127.0.0.1", 0, self.watched(DomainDispatcherApplication(create_backend_app)), threaded=True)

    def put(self, name: str, data: bytes) -> str:
        client = boto3.client("s3", endpoint_url=self.address, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key=name, Body=data)
        return self.url(name)

    def watched(self, application):
        """The application, its file contents counted, broken off or refused."""

        def watching(environ, start):
            if self.refusing:
                body = b"<Error><Code>InvalidAccessKeyId</Code><Message>no access for you</Message></Error>"
                start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
                return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]
            body = b"".join(application(environ, start))
            if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].count("/") > 1:
                body = body[: len(body) // 2] if self.breaking else body
                self.sent += len(body)
            return [body]

        return watching
