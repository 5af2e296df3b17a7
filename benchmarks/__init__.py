"""Benchmarks of the template and of what it renders, see README.md."""

import os
import sys

# Bytecode in the template's folder would be rendered into projects. The variable is for the
# processes that the embedded PostgreSQL starts.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
