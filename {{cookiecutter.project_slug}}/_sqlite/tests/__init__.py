"""The tests. None may reach a developer's database, whatever the environment or .env says."""

import os

from app.core.settings import CoreSettings

CoreSettings.model_config["env_file"] = None
os.environ["DATABASE_URL"] = "sqlite:///tests.db"
os.environ.pop("ENVIRONMENT", None)
