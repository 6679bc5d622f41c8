"""A small HTTP server that answers Kaggle's client as Kaggle does, for tests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "KGAT_0123456789abcdef0123456789abcdef"
COMPETITIONS = "/api/v1/competitions.CompetitionApiService/"
INTROSPECT = "/api/v1/security.OAuthService/IntrospectToken"


@dataclass
class Kaggle:
    """What the server knows, and how it answers.

    Attributes:
        slug: the one competition that there is.
        fails: HTTP status and message by the method that answers so.
        scores: what each question for the list says of the last file: status, public score, error.
        listed: submissions as the client reads them, the newest first.
        uploads: bodies of files. calls: names of methods.
        knows_token: whether the token is good.
    """

    slug: str = "tiny"
    fails: dict[str, tuple[int, str]] = field(default_factory=dict)
    scores: list[tuple[str, str, str]] = field(default_factory=lambda: [("COMPLETE", "0.5", "")])
    listed: list[dict[str, Any]] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    knows_token: bool = True
    url: str = ""

    def answer(self, method: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return an HTTP status and the JSON of one call."""
        self.calls.append(method)
        if method in self.fails:
            status, message = self.fails[method]
            return status, {"code": status, "message": message}
        if asked.get("competitionName", self.slug) != self.slug:
            return 404, {"code": 404, "message": "Not found"}
        return 200, getattr(self, f"_{method}")(asked)

    def _IntrospectToken(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = self.knows_token and asked["token"] == TOKEN
        return {"active": known, "username": "me" if known else ""}

    def _ListSubmissions(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.listed:
            status, score, error = self.scores[0] if len(self.scores) == 1 else self.scores.pop(0)
            self.listed[0] |= {"status": status, "publicScore": score, "errorDescription": error}
        return {"submissions": self.listed}

    def _StartSubmissionUpload(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._name = asked["fileName"]
        return {"token": "blob", "createUrl": f"{self.url}/upload?signature=secret-of-the-upload"}

    def _CreateSubmission(self, asked: dict[str, Any]) -> dict[str, Any]:
        ref = len(self.listed) + 1
        entry = {"ref": ref, "fileName": self._name, "status": "PENDING"}
        self.listed.insert(0, entry | {"description": asked.get("submissionDescription", "")})
        return {"message": "Successfully submitted", "ref": ref}


@contextmanager
def serving(kaggle: Kaggle) -> Iterator[Kaggle]:
    """Answer on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self._body() or "{}")
            self._reply(*kaggle.answer(self.path.rpartition("/")[2], asked))

        def do_PUT(self) -> None:
            kaggle.calls.append("upload")
            status = kaggle.fails.get("upload", (200, ""))[0]
            body = self._body()
            if status == 200:
                kaggle.uploads.append(body)
            self._reply(status, {})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _reply(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    kaggle.url = f"http://localhost:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kaggle
    finally:
        server.shutdown()
        server.server_close()
