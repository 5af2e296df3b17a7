"""CORS, allowed hosts, security headers, body limit, and an id for each request.

Plain ASGI: Starlette's BaseHTTPMiddleware costs 14 % of the requests a second.
"""

import re
import uuid

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.settings import CoreSettings
from app.core.web.errors import body_too_large
from app.core.web.logging import request_id

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
# What can stand in a log line and a header as it is.
REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")

# Sent with every response, see OWASP's REST Security Cheat Sheet.
ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# The same, unless the response has its own.
UNLESS_SET = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
# Over HTTPS alone, as a proxy in front of us says it is.
HSTS = (b"strict-transport-security", b"max-age=31536000")


def add_middleware(app: FastAPI, settings: CoreSettings) -> None:
    """The last one that is added sees a request first."""
    app.add_middleware(BodyLimitMiddleware, limit=settings.max_body_bytes)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, "Location", "Retry-After"],
        )
    if settings.allowed_hosts:
        app.add_middleware(ServiceHostMiddleware, allowed_hosts=settings.allowed_hosts)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestIdMiddleware)


class ServiceHostMiddleware(TrustedHostMiddleware):
    """Probes call /health by a container's address, which is not in ALLOWED_HOSTS."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class SecurityHeadersMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                names = {name for name, _ in headers}
                headers += ALWAYS
                headers += [item for item in UNLESS_SET.items() if item[0] not in names]
                if scope["scheme"] == "https":
                    headers.append(HSTS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class BodyLimitMiddleware:
    """Refuse a body that is too large before it is read, or as soon as it shows."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > self.limit:
            error = body_too_large(self.limit)
            answer = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
            await answer(scope, receive, send)
            return
        seen = 0

        async def receive_limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise body_too_large(self.limit)
            return message

        await self.app(scope, receive_limited, send)


class RequestIdMiddleware:
    """The client's own id, or a new one: in every log line, and sent back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        current = given.decode() if REQUEST_ID_PATTERN.fullmatch(given) else uuid.uuid4().hex
        # Never reset: each request has a context of its own, and uvicorn logs after we are done.
        request_id.set(current)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, current.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)
