"""Writes a feature folder and its test: `make feature name=invoices`.

python -m app.core.scaffold invoices [--singular invoice]
"""

import argparse
import keyword
import re
import sys
from pathlib import Path

from app.core import ROOT

# What the new modules import: a model of the same name would stand for it.
TAKEN = {"annotated", "api_router", "depends", "field", "page", "repository", "request", "response"}
TAKEN |= {"row", "rows", "sql_model", "table_base", "text", "title", "update_base", "client"}

MODELS = '''"""{Words}: the table, its input and its output."""

from typing import Annotated

from pydantic import StringConstraints
from sqlmodel import Field, SQLModel

from app.core.db.base import TableBase, TableBasePublic, Text, UpdateBase, left_out

# One type for all models, so that a PATCH cannot bring in what a POST refuses.
Title = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class {Name}Base(SQLModel):
    title: Title = Field(max_length=200)


class {Name}({Name}Base, TableBase, table=True):
    __tablename__ = "{name}"


class {Name}Create({Name}Base):
    pass


class {Name}Update(UpdateBase):
    title: Title = left_out()


class {Name}Public({Name}Base, TableBasePublic):
    pass
'''

ROUTER = '''"""The HTTP interface of {words}."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.db.pagination import LastIdDep, LimitQuery, Page
from app.core.db.pool import Row
from app.core.db.repository import Repository, Rows, repository
from app.core.web.errors import BAD_BODY, CONFLICT, NOT_FOUND, UNAVAILABLE, IdPath, or_404
from {module}.models import {Name}, {Name}Create, {Name}Public, {Name}Update

router = APIRouter(prefix="/{path}", tags=["{words}"], responses=UNAVAILABLE)

{Name}Repository = Annotated[Repository[{Name}], Depends(repository({Name}))]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model={Name}Public,
    responses=BAD_BODY,
)
async def create_{name}(
    body: {Name}Create, repository: {Name}Repository, request: Request, response: Response
) -> Row:
    """Create one. The header `Location` says where it is."""
    {name} = await repository.create(body)
    response.headers["Location"] = request.url_for("get_{name}", id_={name}.id).path
    return {name}


@router.get("", response_model=Page[{Name}Public])
async def list_{names}(
    repository: {Name}Repository, last_id: LastIdDep, limit: LimitQuery = 20
) -> Rows:
    """List them, newest first."""
    return await repository.page(last_id, limit)


@router.get("/{{id_}}", response_model={Name}Public, responses=NOT_FOUND)
async def get_{name}(id_: IdPath, repository: {Name}Repository) -> Row:
    """Get one."""
    return or_404(await repository.get(id_))


@router.patch("/{{id_}}", response_model={Name}Public, responses=NOT_FOUND | BAD_BODY)
async def update_{name}(id_: IdPath, body: {Name}Update, repository: {Name}Repository) -> Row:
    """Change the fields that are given."""
    return or_404(await repository.update(id_, body))


@router.delete(
    "/{{id_}}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND | CONFLICT
)
async def delete_{name}(id_: IdPath, repository: {Name}Repository) -> None:
    """Delete one."""
    or_404(await repository.delete(id_))
'''

TEST = """import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio


async def test_it_is_created_changed_listed_and_deleted(client: AsyncClient) -> None:
    created = await client.post("/{path}", json={{"title": "first"}})
    assert created.status_code == 201
    place = created.headers["location"]
    assert (await client.get(place)).json() == created.json()
    changed = await client.patch(place, json={{"title": "second"}})
    assert changed.json()["title"] == "second"
    assert (await client.get("/{path}")).json()["items"] == [changed.json()]
    assert (await client.delete(place)).status_code == 204
    assert (await client.get(place)).status_code == 404


@pytest.mark.parametrize("body", [{{}}, {{"title": ""}}, {{"title": None}}, {{"title": "x" * 201}}])
async def test_a_wrong_body_is_refused(client: AsyncClient, body: dict[str, str]) -> None:
    assert (await client.post("/{path}", json=body)).status_code == 422
"""


class ScaffoldError(Exception):
    """The name cannot be used; the text says why, and what to do."""


IRREGULAR = {"people": "person", "children": "child", "statuses": "status", "movies": "movie"}


def singular_of(words: str) -> str:
    """The singular of an English plural, by its ending: `order_items` gives `order_item`."""
    *before, last = words.split("_")
    if last in IRREGULAR:
        return "_".join([*before, IRREGULAR[last]])
    for pattern, ending in (
        (r"(?<=[^aeiou])ies$", "y"),
        (r"(?<=ss|sh|ch)es$|(?<=[xz])es$", ""),
        (r"(?<![sui])s$", ""),
    ):
        if re.search(pattern, words):
            return re.sub(pattern, ending, words)
    return words


def snake(text: str) -> str:
    """`OrderItems`, `order items` and `order-items` give `order_items`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text.strip())
    return re.sub(r"[\s_-]+", "_", spaced).lower()


def check(names: str, name: str, root: Path) -> None:
    for word in (names, name):
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", word) or len(word) > 50:
            raise ScaffoldError(
                f"{word!r} is not a name: letters a-z, digits, and words joined by _ or -"
            )
        if keyword.iskeyword(word) or keyword.issoftkeyword(word):
            raise ScaffoldError(f"{word!r} is a word of Python: take another, like {word}_item")
    if name in TAKEN:
        raise ScaffoldError(f"{name!r} has a meaning in the code: singular={name}_record")
    for file in (f"app/{names}", f"app/{names}.py", f"tests/test_{names}.py"):
        if (root / file).exists():
            raise ScaffoldError(f"{file} exists already: nothing was written")


def write_feature(names: str, name: str, root: Path = ROOT) -> list[Path]:
    """Write the files of a feature; returns their paths. Raises ScaffoldError."""
    names, name = snake(names), snake(name) if name else singular_of(snake(names))
    check(names, name, root)
    values = {
        "name": name,
        "names": names if names != name else f"all_{names}",
        "Name": "".join(word.capitalize() for word in name.split("_")),
        "words": names.replace("_", " "),
        "Words": names.replace("_", " ").capitalize(),
        "path": names.replace("_", "-"),
        "module": f"app.{names}",
    }
    files = {
        f"app/{names}/__init__.py": "",
        f"app/{names}/models.py": MODELS,
        f"app/{names}/router.py": ROUTER,
        f"tests/test_{names}.py": TEST,
    }
    for file, text in files.items():
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text(text.format(**values), encoding="utf-8")
    return [root / file for file in files]


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a feature folder and its test.")
    parser.add_argument("name", help="what the feature is about, as a plural: invoices")
    parser.add_argument("--singular", default="", help="where the ending does not tell: person")
    given = parser.parse_args()
    try:
        paths = write_feature(given.name, given.singular)
    except ScaffoldError as error:
        print(error, file=sys.stderr)
        return 1
    for path in paths:
        print(path.relative_to(ROOT))
    print(f'Next: edit {paths[1].relative_to(ROOT)}, then make migration m="add {given.name}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
