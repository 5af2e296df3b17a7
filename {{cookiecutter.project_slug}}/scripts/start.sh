#!/bin/sh
# What the image runs: migrate, then serve. A failed migration never serves.
set -eu
exec 2>&1  # all that is said goes to stdout

# false: a job of its own migrates, with the command `alembic upgrade head` of the same image.
if [ "${RUN_MIGRATIONS:-true}" != false ]; then
    alembic upgrade head
fi

# exec: signals reach uvicorn, which then finishes the requests that it has.
exec uvicorn app.main:app --host 0.0.0.0 --port 8000 --log-config app/core/web/logging.json \
    --timeout-graceful-shutdown 30 --timeout-worker-healthcheck 30
