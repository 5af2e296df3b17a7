"""The template's part of the service. It imports nothing of the features, nor of `app.settings`."""

from pathlib import Path

# The folder of the project.
ROOT = Path(__file__).resolve().parents[2]
