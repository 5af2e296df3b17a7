"""What the core adds to an application: pool, features, errors, middleware, health, docs."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from app.core import features, health
from app.core.db.engine import NoDatabaseError
from app.core.db.pool import Pool
from app.core.settings import CoreSettings
from app.core.startup import stop
from app.core.web.docs import add_docs
from app.core.web.errors import add_error_handlers
from app.core.web.middleware import add_middleware


def operation_id(route: APIRoute) -> str:
    """The function's name, so that generated clients keep theirs when a path changes."""
    return route.name


class FeatureError(Exception):
    """A feature's router.py has no router; the text is one line."""


def router_of(module: str) -> APIRouter:
    """The router of a feature. Raises FeatureError where its router.py defines none."""
    router = getattr(import_module(module), "router", None)
    if not isinstance(router, APIRouter):
        raise FeatureError(f"{module.replace('.', '/')}.py has no `router = APIRouter(…)`")
    return router


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Modules that are loaded by now stay: the garbage collector need not look at them again.
    gc.collect()
    gc.freeze()
    yield
    await app.state.pool.engine.dispose()


def core_options(settings: CoreSettings) -> dict[str, Any]:
    """Arguments of `FastAPI`."""
    return {
        "openapi_url": "/openapi.json" if settings.docs else None,
        "docs_url": None,  # see web/docs.py
        "redoc_url": None,
        "lifespan": lifespan,
        "generate_unique_id_function": operation_id,
    }


def add_core(app: FastAPI, settings: CoreSettings) -> None:
    """Add the pool, the routers of all features, and the rest of the core.

    Ends the process with one line where there is no database to connect to.
    """
    try:
        app.state.pool = Pool(settings)
    except NoDatabaseError as error:
        stop(str(error))
    add_error_handlers(app)
    add_middleware(app, settings)
    app.include_router(health.router)
    for module in features.modules("router"):
        try:
            app.include_router(router_of(module))
        except FeatureError as error:
            stop(str(error))
    if settings.docs:
        add_docs(app)
