"""The tests. None may reach a developer's database, whatever the environment or .env says."""

import os

from app.core.settings import CoreSettings

CoreSettings.model_config["env_file"] = None
os.environ["DATABASE_URL"] = "postgresql://tests@127.0.0.1:1/none"
for variable in ("MIGRATION_DATABASE_URL", "ENVIRONMENT"):
    os.environ.pop(variable, None)
