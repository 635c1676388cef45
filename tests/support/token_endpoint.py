"""An OAuth 2.0 token endpoint on loopback: client credentials in, a token that nobody signed out."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


class _Handler(BaseHTTPRequestHandler):
    requests: list[str]
    secret: str

    def do_POST(self) -> None:
        """One request for a token."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.requests.append(body)
        expected = "Basic " + base64.b64encode(f"relay:{self.secret}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401, {"error": "invalid_client"})
            return
        now = int(time.time())
        claims = {"sub": "relay", "iat": now, "exp": now + 300, "scope": "events"}
        token = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 300})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@contextmanager
def token_endpoint(secret: str) -> Iterator[tuple[str, list[str]]]:
    """Its URL, and the bodies of the requests that came."""
    requests: list[str] = []
    handler = type("Handler", (_Handler,), {"requests": requests, "secret": secret})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
