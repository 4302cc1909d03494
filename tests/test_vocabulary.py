"""Comments, docstrings, names and documentation use the field's terms."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BANNED_WORDS = re.compile(
    r"\b(afresh|anew|nought|mend(?:s|ed|ing)?|lack(?:s|ing)?|tells?|told|telling"
    r"|hangs? together|without a word|at the door|as (?:it|they) stands?|stands? alone)\b",
    re.IGNORECASE,
)

BANNED_NAMES = {
    "afresh", "anew", "law", "laws", "leg", "legs", "mend", "mended", "nought", "pull", "pulled", "pulls",
    "telling", "tie", "tied", "ties", "told",
}  # fmt: skip


def python_files() -> Iterator[Path]:
    """Every Python file once; the links tabsynth/privacy and tabsynth/evaluation are not followed."""
    for folder in ("tabsynth", "privacy", "evaluation", "tests", "benchmarks", "examples", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            linked = parts[:2] in {("tabsynth", "privacy"), ("tabsynth", "evaluation")}
            if not linked and "__pycache__" not in parts and path != Path(__file__).resolve():
                yield path


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Comments and docstrings of a Python file with their lines; other strings may be data."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.line.lstrip()[:3] == '"""'):
            yield token.start[0], token.string


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a file defines: functions, classes, arguments and variables."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def files_that_contain(pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    """Python files worth parsing, with their text: parsing all of them takes ten seconds."""
    for path in python_files():
        source = path.read_text(encoding="utf-8")
        if pattern.search(source):
            yield path.relative_to(ROOT), source


def test_comments_and_docstrings_use_the_terms_of_the_field() -> None:
    found = [
        f"{path}:{line}: {match[0]}"
        for path, source in files_that_contain(BANNED_WORDS)
        for line, text in prose(source)
        for match in BANNED_WORDS.finditer(text)
    ]
    assert found == []


def test_names_use_the_terms_of_the_field() -> None:
    found = [
        f"{path}:{line}: {name}"
        for path, source in files_that_contain(re.compile(rf"\b_*({'|'.join(BANNED_NAMES)})_*\b"))
        for line, name in names(ast.parse(source))
        if name.strip("_") in BANNED_NAMES
    ]
    assert found == []


def test_documentation_and_templates_use_the_terms_of_the_field() -> None:
    """Old changelog entries keep their wording."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for folder in ("tabsynth", "privacy", "evaluation"):
        paths += [*(ROOT / folder).rglob("*.html"), *(ROOT / folder).rglob("*.j2"), *(ROOT / folder).rglob("*.md")]
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in paths
        if path.name != "CHANGELOG.md"
        for match in BANNED_WORDS.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
