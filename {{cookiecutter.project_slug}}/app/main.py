"""The application: `uvicorn app.main:app`. It puts the parts together; nothing imports it."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app import features, health
from app.docs import add_docs
from app.errors import add_error_handlers
from app.pool import Database
from app.security import add_middleware
from app.settings import DESCRIPTION, TITLE, Settings, load_settings


def operation_id(route: APIRoute) -> str:
    """The function's name, so that generated clients keep theirs when a path changes."""
    return route.name


def create_app(settings: Settings) -> FastAPI:
    database = Database(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # What is loaded by now stays: the garbage collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        yield
        await database.engine.dispose()

    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version="0.1.0",
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
    )
    app.state.database = database
    app.state.was_ready = False  # see app/health.py
    add_error_handlers(app)
    add_middleware(app, settings)
    app.include_router(health.router)
    for router in features.load("router"):
        app.include_router(router.router)

    if settings.docs:
        add_docs(app)
    return app


app = create_app(load_settings())
