"""The settings of the service, read from the environment and from `.env`. Add yours here."""

from app.core.settings import CoreSettings


class Settings(CoreSettings):
    pass
