"""Read a table's columns, keys, checks, enums and dependent objects from PostgreSQL's catalogue."""

from __future__ import annotations

import re
from typing import Any

from tabsynth.data.sql.definitions import ColumnDefinition, Link, TableDefinition
from tabsynth.data.sql.names import TableName, quote_identifier
from tabsynth.errors import SourceError

COLUMNS = """
SELECT a.attname::text,
  CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END,
  a.attnotnull OR t.typnotnull, a.attgenerated <> '',
  (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid),
  (SELECT array_agg(pg_get_constraintdef(c.oid)) FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

CONSTRAINTS = """
SELECT c.contype::text, pg_get_expr(c.conbin, c.conrelid), n.nspname::text, p.relname::text,
  (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
  (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
   JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number)
FROM pg_constraint c LEFT JOIN pg_class p ON p.oid = c.confrelid LEFT JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE c.conrelid = $1::bigint::oid AND c.contype IN ('p', 'u', 'f', 'c') ORDER BY c.conname
"""

TABLES = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""

OBSTACLES = """
SELECT CASE WHEN c.relkind <> 'r' THEN 'it is a view or partitioned'
  WHEN c.relrowsecurity THEN 'it has policies of row-level security'
  WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) THEN 'it has triggers'
  WHEN EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'it inherits or is inherited'
  WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.conrelid <> c.oid)
  THEN 'other tables refer to it' END
FROM pg_class c WHERE c.oid = $1::bigint::oid
"""

SEQUENCES = """
SELECT s.oid::regclass::text, a.attname::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.refobjid = $1::bigint::oid AND d.deptype = 'a'
"""

PRIVILEGES = """
SELECT x.privilege_type, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
  x.is_grantable FROM pg_class c, aclexplode(c.relacl) AS x WHERE c.oid = $1::bigint::oid
"""


class PostgresCatalogue:
    """Queries of the catalogue; values are parameters, names are quoted."""

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""
        raise NotImplementedError

    def table_names(self) -> list[TableName]:
        """Return the tables in the schemas of the search path."""
        return [TableName(table, None if schema == "public" else schema) for schema, table in self.execute(TABLES)]

    def _oid(self, name: TableName) -> int | None:
        found = self.execute("SELECT to_regclass($1)::oid::bigint", (name.sql,))[0][0]
        return None if found is None else int(found)

    def definition(self, name: TableName) -> TableDefinition | None:
        """Return the declaration of a table."""
        oid = self._oid(name)
        if oid is None:
            return None
        columns, checks = [], []
        for column, kind, required, generated, labels, domain in self.execute(COLUMNS, (oid,)):
            columns.append(ColumnDefinition(column, kind, not required, tuple(labels or ()), bool(generated)))
            for check in domain or ():
                # The check of a domain is one of the column: its value is called VALUE there.
                expression = re.fullmatch(r"CHECK \((.*)\)(?: NOT VALID)?", check, re.DOTALL)
                if expression is not None:
                    checks.append(re.sub(r"\bVALUE\b", lambda _, c=column: quote_identifier(c), expression[1]))
        key: tuple[str, ...] = ()
        unique, links = [], []
        for contype, expression, schema, parent, own, others in self.execute(CONSTRAINTS, (oid,)):
            if contype == "p":
                key = tuple(own)
            elif contype == "u" and len(own) == 1:
                unique += own
            elif contype == "f":
                space = None if schema == "public" else schema
                links.append(Link(tuple(own), TableName(parent, space), tuple(others)))
            elif contype == "c":
                checks.append(expression)
        return TableDefinition(tuple(columns), key, tuple(unique), tuple(links), tuple(checks))

    def accepts(self, type: str) -> bool:
        """Return whether a type of this name exists."""
        # A text that is not the name of a type is an error, which would end the transaction.
        self.execute("SAVEPOINT tabsynth_type")
        try:
            found = bool(self.execute("SELECT to_regtype($1) IS NOT NULL", (type,))[0][0])
        except Exception:  # the driver's own classes
            self.execute("ROLLBACK TO SAVEPOINT tabsynth_type")
            return False
        self.execute("RELEASE SAVEPOINT tabsynth_type")
        return found

    def check_replaceable(self, name: TableName) -> None:
        """Raise SourceError if replacing a table by another would lose something that belongs to it."""
        obstacle = self.execute(OBSTACLES, (self._oid(name),))[0][0]
        if obstacle is not None:
            raise SourceError(
                f"the table {str(name)!r} cannot be replaced by another: {obstacle}; empty it in the database and "
                "write with mode='append'"
            )

    def move_dependents(self, old: TableName, new: TableName) -> None:
        """Move foreign keys, sequences, privileges and the owner from one table to another."""
        oid = self._oid(old)
        definition = self.definition(new)
        names = set(definition.names) if definition is not None else set()
        links = self.execute(
            "SELECT conname::text, pg_get_constraintdef(c.oid), (SELECT array_agg(a.attname::text) FROM pg_attribute a "
            "WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) FROM pg_constraint c "
            "WHERE c.conrelid = $1::bigint::oid AND c.contype = 'f'",
            (oid,),
        )
        owner = self.execute("SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = $1::bigint::oid", (oid,))
        mine = self.execute("SELECT current_user::text")
        if owner[0][0] != mine[0][0]:
            self.execute(f"ALTER TABLE {new.sql} OWNER TO {quote_identifier(owner[0][0])}")
        for sequence, column in self.execute(SEQUENCES, (oid,)):
            if column in names:
                self.execute(f"ALTER SEQUENCE {sequence} OWNED BY {new.sql}.{quote_identifier(column)}")
        for constraint, text, columns in links:
            if not set(columns) <= names:
                continue
            self.execute(f"ALTER TABLE {new.sql} ADD CONSTRAINT {quote_identifier(constraint)} {text}")
        for privilege, grantee, grantable in self.execute(PRIVILEGES, (oid,)):
            option = " WITH GRANT OPTION" if grantable and grantee != "PUBLIC" else ""
            self.execute(f"GRANT {privilege} ON {new.sql} TO {grantee}{option}")
