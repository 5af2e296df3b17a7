"""What models can build beside tables: sequences, views, triggers, functions, storage, comments."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

# The statement that makes each.
EXTRAS = """
WITH classes AS (
    SELECT c.*, c.oid::regclass::text AS name FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ :schemas
)
SELECT name, 'option ' || o, format('ALTER TABLE %s SET (%s)', name, o)
FROM classes, unnest(reloptions) AS o WHERE relkind IN ('r', 'p')
UNION ALL
SELECT name, 'unlogged', format('ALTER TABLE %s SET UNLOGGED', name)
FROM classes WHERE relkind IN ('r', 'p') AND relpersistence = 'u'
UNION ALL
SELECT name, 'partitions', format('a new table %s PARTITION BY %s', name, pg_get_partkeydef(oid))
FROM classes WHERE relkind = 'p'
UNION ALL
SELECT '', 'sequence ' || name, format('CREATE SEQUENCE %s AS %s START %s INCREMENT %s '
    'MINVALUE %s MAXVALUE %s CACHE %s%s', name, seqtypid::regtype, seqstart, seqincrement,
    seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN ' CYCLE' END)
FROM classes JOIN pg_sequence ON seqrelid = oid WHERE NOT EXISTS (
    SELECT FROM pg_depend WHERE (classid, objid) = ('pg_class'::regclass, seqrelid)
        AND deptype IN ('a', 'i'))
UNION ALL
SELECT '', 'view ' || name, format('CREATE %s %s AS %s',
    CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, name, pg_get_viewdef(oid))
FROM classes WHERE relkind IN ('v', 'm')
UNION ALL
SELECT '', 'trigger ' || tgname || name, pg_get_triggerdef(t.oid, true)
FROM classes c JOIN pg_trigger t ON tgrelid = c.oid WHERE NOT tgisinternal
UNION ALL
SELECT '', 'security ' || name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name)
FROM classes WHERE relrowsecurity
UNION ALL
SELECT '', 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
WHERE nspname ~ :schemas AND prokind IN ('f', 'p')
UNION ALL
SELECT '', 'domain ' || t.oid::regtype, concat_ws(' ', 'CREATE DOMAIN', t.oid::regtype, 'AS',
    format_type(typbasetype, typtypmod), 'DEFAULT ' || typdefault,
    CASE WHEN typnotnull THEN 'NOT NULL' END,
    (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY conname)
    FROM pg_constraint k WHERE contypid = t.oid AND contype = 'c'))
FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
WHERE nspname ~ :schemas AND typtype = 'd'
UNION ALL
SELECT '', 'comment ' || conname || name, format('COMMENT ON CONSTRAINT %I ON %s IS %L',
    conname, name, obj_description(k.oid, 'pg_constraint'))
FROM classes c JOIN pg_constraint k ON conrelid = c.oid
WHERE obj_description(k.oid, 'pg_constraint') IS NOT NULL
"""


@dataclass(frozen=True)
class Extra:
    """What a model has said beside its columns, constraints and indexes."""

    table: str  # whose CREATE TABLE says it as well; or ""
    name: str
    sql: str


def read(rows: Callable[[str], Iterable[list[str]]]) -> dict[str, Extra]:
    extras = (Extra(table, name, " ".join(sql.split())) for table, name, sql in rows(EXTRAS))
    return {f"{extra.table} {extra.name}": extra for extra in extras}
