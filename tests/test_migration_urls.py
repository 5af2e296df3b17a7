"""Which database a migration goes to, as whom, and what of that is printed."""

import re
import uuid
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.project import Databases, Project, read_until

pytestmark = pytest.mark.slow

PASSWORD = "p%40@/:w%rd пароль"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_password_of_any_characters_works_and_is_never_printed(
    project: Project, databases: Databases, scheme: str
) -> None:
    url = databases.create()
    place = url.partition("@")[2]
    role = f"role_{uuid.uuid4().hex[:8]}"
    literal = PASSWORD.replace("'", "''")
    databases.query(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD '{literal}' IN ROLE with_password",
        f"GRANT CREATE ON SCHEMA public TO {role}",
    )
    written = f"{scheme}://{role}:{quote(PASSWORD, safe='')}@{place}"
    said = [
        project.alembic("upgrade", "head", url=written),
        project.alembic("current", "--verbose", url=written),
        project.alembic("-x", f"url={written}", "downgrade", "base"),
        project.alembic("upgrade", "head", "--sql", url=written),
    ]
    away = written.replace(place, "127.0.0.1:1/none")
    for wrong in (away, away.replace("127.0.0.1:1", "127.0.0.1:port")):
        done = project.run(
            "-m", "alembic", "upgrade", "head", url=wrong, MIGRATION_CONNECT_WAIT_SECONDS="0"
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        said.append(done.stdout + done.stderr)
    for text in said:
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text
        assert "пароль" not in text


def test_migrations_log_in_as_another_role_when_a_url_of_their_own_is_set(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    owner, app = f"owner_{uuid.uuid4().hex[:8]}", f"app_{uuid.uuid4().hex[:8]}"
    databases.query(
        url,
        f"CREATE ROLE {owner} LOGIN",
        f"CREATE ROLE {app} LOGIN",
        f"GRANT CREATE ON SCHEMA public TO {owner}",
    )
    as_app, as_owner = (url.replace("//app@", f"//{role}@") for role in (app, owner))
    assert as_app != url
    done = project.run("-m", "alembic", "upgrade", "head", url=as_app)
    assert done.returncode != 0
    assert "permission denied" in done.stdout
    project.alembic("upgrade", "head", url=as_app, MIGRATION_DATABASE_URL=as_owner)
    [[table_owner]] = databases.query(
        url, "SELECT tableowner FROM pg_tables WHERE tablename = 'task'"
    )
    assert table_owner == owner


def test_x_url_goes_before_everything_else(project: Project, databases: Databases) -> None:
    url = databases.create()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    project.alembic(
        "-x", f"url={url}", "upgrade", "head", url=nowhere, MIGRATION_DATABASE_URL=nowhere
    )
    assert databases.query(url, "SELECT version_num FROM alembic_version")[0][0] == "0001"


def test_a_database_that_comes_up_late_is_waited_for(
    project: Project, databases: Databases, tmp_path: Path
) -> None:
    url = databases.create()
    sockets = Path(unquote(url.partition("host=")[2].partition("&")[0]))
    assert sockets.is_dir()
    late = tmp_path / "late"
    written = url.replace(quote(str(sockets), safe=""), quote(str(late), safe=""))
    assert written != url
    process = project.start("-m", "alembic", "upgrade", "head", url=written)
    read_until(process, "Waiting 30 s at most")
    late.symlink_to(sockets)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def test_a_database_that_never_comes_is_waited_for_up_to_the_limit(
    project: Project, databases: Databases
) -> None:
    done = project.run(
        *("-m", "alembic", "upgrade", "head"),
        url="postgresql://user:secret@127.0.0.1:1/none",
        MIGRATION_CONNECT_WAIT_SECONDS="1.5",
    )
    assert done.returncode != 0
    assert "Waiting 1.5 s at most for the database at 127.0.0.1:1" in done.stderr
    assert re.search("No database at 127.0.0.1:1: .*refused", done.stdout)


def test_a_migration_makes_no_prepared_statements_which_a_pooler_would_lose(
    project: Project, databases: Databases
) -> None:
    url = databases.create()
    project.add_revision(
        2,
        """
        for _ in range(20):
            op.get_bind().execute(sa.text("SELECT count(*) FROM task"))
        op.execute("CREATE TABLE said AS SELECT count(*) AS number FROM pg_prepared_statements")
        """,
    )
    project.alembic("upgrade", "head", url=url)
    assert databases.query(url, "SELECT number FROM said")[0][0] == 0


def test_a_wrong_password_is_not_waited_for(project: Project, databases: Databases) -> None:
    url = databases.create()
    role = f"role_{uuid.uuid4().hex[:8]}"
    databases.query(url, f"CREATE ROLE {role} LOGIN PASSWORD 'right' IN ROLE with_password")
    wrong = url.replace("//app@", f"//{role}:wrong@")
    done = project.run("-m", "alembic", "upgrade", "head", url=wrong)
    assert done.returncode != 0
    assert "Waiting" not in done.stderr
    assert "password authentication failed" in done.stdout
    assert "Traceback" not in done.stderr
