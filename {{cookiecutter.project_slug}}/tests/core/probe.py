"""A feature of the tests' own: the core is tested with it, and with none of the service's."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, HTTPException, Query, status
from pydantic import StringConstraints
from sqlmodel import Field, SQLModel, col

from app.core.db.base import (
    TableBase,
    TableBasePublic,
    Text,
    UpdateBase,
    enum_check,
    enum_type,
    left_out,
)
from app.core.db.ids import IdType
from app.core.db.pagination import LastIdDep, LimitQuery, Page
from app.core.db.pool import Row
from app.core.db.repository import Repository, Rows, repository
from app.core.db.session import SessionDep
from app.core.web.errors import BAD_BODY, CONFLICT, NOT_FOUND, UNAVAILABLE, IdPath, or_404

# Not the metadata of the service: no revision knows these tables.
METADATA = sa.MetaData(naming_convention=SQLModel.metadata.naming_convention)


class Color(StrEnum):
    red = "red"
    blue = "blue"


Name = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class ProbeBase(SQLModel):
    name: Name = Field(max_length=200)
    color: Color = Color.red
    amount: Decimal = Field(default=Decimal(1), max_digits=10, decimal_places=2, ge=0)
    code: Text | None = Field(default=None, max_length=20)
    parent_id: int | None = None


class Probe(ProbeBase, TableBase, table=True):
    metadata = METADATA
    __table_args__ = (
        enum_check("color", Color),
        sa.CheckConstraint("amount < 1000", name="amount"),
        sa.UniqueConstraint("code"),
    )

    color: Color = Field(default=Color.red, sa_type=enum_type(Color))
    parent_id: int | None = Field(default=None, foreign_key="probe.id", sa_type=IdType)


class ProbeUpdate(UpdateBase):
    name: Name = left_out()
    color: Color = left_out()
    code: Text | None = None
    parent_id: int | None = None


class ProbePublic(ProbeBase, TableBasePublic):
    pass


router = APIRouter(prefix="/probes", tags=["probes"], responses=UNAVAILABLE)

ProbeRepository = Annotated[Repository[Probe], Depends(repository(Probe))]


@router.post(
    "", status_code=status.HTTP_201_CREATED, response_model=ProbePublic, responses=BAD_BODY
)
async def create_probe(body: ProbeBase, probes: ProbeRepository) -> Row:
    """Create a probe."""
    return await probes.create(body)


@router.get("", response_model=Page[ProbePublic])
async def list_probes(
    probes: ProbeRepository,
    last_id: LastIdDep,
    limit: LimitQuery = 20,
    color: Annotated[Color | None, Query()] = None,
) -> Rows:
    """List probes."""
    where = [] if color is None else [col(Probe.color) == color]
    return await probes.page(last_id, limit, *where)


@router.get("/{id_}", response_model=ProbePublic, responses=NOT_FOUND)
async def get_probe(id_: IdPath, probes: ProbeRepository) -> Row:
    """Get a probe."""
    return or_404(await probes.get(id_))


@router.patch("/{id_}", response_model=ProbePublic, responses=NOT_FOUND | BAD_BODY)
async def update_probe(id_: IdPath, body: ProbeUpdate, probes: ProbeRepository) -> Row:
    """Change a probe."""
    return or_404(await probes.update(id_, body))


@router.delete("/{id_}", status_code=204, responses=NOT_FOUND | CONFLICT)
async def delete_probe(id_: IdPath, probes: ProbeRepository) -> None:
    """Delete a probe."""
    or_404(await probes.delete(id_))


@router.post("/two", responses=BAD_BODY)
async def create_two(
    session: SessionDep, probes: ProbeRepository, fail: bool = False
) -> list[int | None]:
    """Create two, one by the session and one by the repository, or none."""
    first = Probe(name="one")
    session.add(first)
    second = await probes.create(ProbeBase(name="two"))
    if fail:
        raise HTTPException(418)
    return [first.id, second.id]
