"""The application: `uvicorn app.main:app`. It puts the parts together; nothing else imports it."""

from fastapi import FastAPI

from app.core.app import add_core, core_options
from app.core.startup import load_settings
from app.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(
        title="{{ cookiecutter.__project_name_python }}",
        description="{{ cookiecutter.__description_python }}",
        version="0.1.0",
        **core_options(settings),
    )
    add_core(app, settings)
    return app


app = create_app(load_settings(Settings))
