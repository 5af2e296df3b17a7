"""A Python shell with the models, and a session on the development database: `make shell`."""

import code

from sqlmodel import Session, SQLModel, select

from app.core import features
from app.core.db.engine import NoDatabaseError
from app.core.migrations.connection import create_migration_engine, migration_url
from app.core.settings import CoreSettings
from app.core.startup import load_settings, stop


def main() -> None:
    settings = load_settings(CoreSettings)
    try:
        engine = create_migration_engine(migration_url(settings), settings)
    except NoDatabaseError as error:
        stop(str(error))
    models = {
        model.__name__: model
        for module in features.load("models")
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, SQLModel) and hasattr(model, "__table__")
    }
    with Session(engine) as session:
        names = ", ".join(["session", "select", *sorted(models)])
        code.interact(
            banner=f"{names}. Nothing is written before session.commit().",
            local={"session": session, "select": select, **models},
            exitmsg="",
        )


if __name__ == "__main__":
    main()
