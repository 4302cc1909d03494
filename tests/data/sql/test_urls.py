"""No password in any message, exception, schema, model or output of a command."""

from __future__ import annotations

import os
import string
import traceback
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tabsynth as ts
from tabsynth.cli.main import main
from tabsynth.data.sql.urls import check_no_password, is_database_url, parse_url, relative_to
from tabsynth.errors import SourceError

PASSWORDS = st.text(string.ascii_letters + string.digits + string.punctuation + " äß€", min_size=8, max_size=20).map(
    lambda text: f"Zq{text}"
)
QUIET = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def everything_said(error: BaseException) -> str:
    """All texts of an exception and of those that it came from."""
    said, seen = "", set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        said += "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return said


@given(PASSWORDS)
@QUIET
def test_a_url_with_a_password_is_refused_without_showing_it(password):
    for url in (f"postgresql://ann:{password}@h/db", f"mysql+x://ann:{quote(password, safe='')}@h/db"):
        for act in (lambda url=url: ts.read(url, table="t"), lambda url=url: parse_url(url)):
            with pytest.raises(SourceError) as caught:
                act()
            assert "PGPASSWORD" in str(caught.value)
            assert password not in str(caught.value)
            assert quote(password, safe="") not in str(caught.value)
    with pytest.raises(SourceError) as caught:
        parse_url(f"mssql://h/db?pwd={quote(password, safe='')}")
    assert quote(password, safe="") not in str(caught.value)


@given(PASSWORDS)
@QUIET
def test_a_password_of_the_environment_is_in_no_error(postgres, password):
    """The user ``locked`` needs a password, and none is right: what libpq says must not hold it."""
    host = f"?host={quote(str(postgres.folder))}"
    urls = [
        ("${DB_URL}", {"DB_URL": f"postgresql://locked:{quote(password, safe='')}@/postgres{host}"}),
        ("${DB_URL}", {"DB_URL": f"postgresql://locked:{password}@/postgres{host}"}),
        ("${DB_URL}", {"DB_URL": f"postgresql://locked:{password}"}),
        ("${DB_URL}", {"DB_URL": password}),
        ("postgresql://locked:${DB_PASSWORD}@/postgres" + host, {"DB_PASSWORD": password}),
        ("postgresql://locked@/postgres" + host, {"PGPASSWORD": password}),
    ]
    for url, environment in urls:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SourceError) as caught:
                ts.read(url, table="t")
        said = everything_said(caught.value).replace(__file__, "")
        assert password not in said
        assert quote(password, safe="") not in said


def test_a_password_of_the_environment_opens_the_database(postgres, monkeypatch, tmp_path):
    odd = "p@ss/w:rd #?%25 ä"
    postgres.psql(
        f"DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD '{odd}'; CREATE TABLE secrets (a integer);"
        "INSERT INTO secrets VALUES (1), (2); GRANT SELECT ON secrets TO locked"
    )
    host = f"?host={postgres.folder}"
    monkeypatch.setenv("DB_PASSWORD", odd)
    assert len(ts.read(f"postgresql://locked:${{DB_PASSWORD}}@/postgres{host}", table="secrets")) == 2
    monkeypatch.setenv("DB_URL", f"postgresql://locked:{quote(odd, safe='')}@/postgres{host}")
    assert len(ts.read("${DB_URL}#secrets")) == 2
    passes = tmp_path / "pgpass"
    passes.write_text("*:*:*:locked:" + odd.replace("\\", "\\\\").replace(":", "\\:") + "\n")
    passes.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passes))
    assert len(ts.read(f"postgresql://locked@/postgres{host}", table="secrets")) == 2
    postgres.psql("DROP OWNED BY locked; DROP ROLE locked; DROP TABLE secrets")


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "{url}"],
        ["fit", "{url}", "--output", "m", "--unknown", "{url}"],
        ["evaluate", "{url}", "{url}", "--also=x={url}"],
        ["sample", "m.tabsynth", "--output={url}"],
        ["{url}"],
    ],
)
def test_the_command_line_shows_no_password(arguments, capsys):
    url = "postgresql://ann:hunter2secret@h/db#t"
    assert main([argument.format(url=url) for argument in arguments]) == 2
    said = "".join(capsys.readouterr())
    assert "hunter2secret" not in said
    assert "PGPASSWORD" in said


def test_a_missing_variable_and_a_url_of_no_database_are_named(monkeypatch):
    monkeypatch.delenv("DB_URL", raising=False)
    with pytest.raises(SourceError, match="variable DB_URL is not set"):
        ts.read("${DB_URL}", table="t")
    with pytest.raises(SourceError, match="not a database"):
        ts.read("https://example.org/t.csv", table="t")
    with pytest.raises(SourceError, match="name its table"):
        ts.read("sqlite:///x.db")
    assert os.environ.get("DB_URL") is None


def test_parts_of_urls():
    assert parse_url("sqlite:///a%20b.db#t").path.name == "a b.db"
    assert parse_url("sqlite:///x.db#t").table == "t"
    assert parse_url("postgres://ann@h:5433/db").label == "postgres://***@h:5433/db"
    assert relative_to("sqlite:///x.db#t", "/f") == "sqlite:////f/x.db#t"  # type: ignore[arg-type]
    assert relative_to("sqlite:////x.db", "/f") == "sqlite:////x.db"  # type: ignore[arg-type]
    check_no_password("postgresql://ann@h/db?sslmode=require&host=/tmp")
    assert not is_database_url("table.csv")
    assert not is_database_url("C:/x.csv")
    assert not is_database_url("sklearn:iris")
