"""Architectural rules that are checked by reading the code: public names, imports and forbidden calls."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tabsynth

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"tabsynth": "tabsynth", "privacy": "tabsynth.privacy", "evaluation": "tabsynth.evaluation"}

PUBLIC = [
    "CTGANSynthesizer",
    "CopulaGANSynthesizer",
    "DatabaseSchema",
    "ForeignKey",
    "GANSynthesizer",
    "GaussianCopulaSynthesizer",
    "MarginalSynthesizer",
    "MaskedSynthesizer",
    "Privacy",
    "RelationalSynthesizer",
    "Report",
    "Schema",
    "Score",
    "TVAESynthesizer",
    "Table",
    "TabsynthError",
    "VAESynthesizer",
    "audit",
    "compare",
    "evaluate",
    "load",
    "mix",
    "read",
    "split",
    "suggest",
    "synthesize",
    "tune",
    "write",
]

LICENSED = {"sdv", "ctgan", "copulas", "rdt", "sdmetrics"}
"""Packages that are imported lazily, and only where they are adapted."""

ADAPTERS = {
    "tabsynth/synthesizers/adapters/ctgan.py",
    "tabsynth/synthesizers/adapters/sdv.py",
    "tabsynth/synthesizers/adapters/sdv_tables.py",
    "tabsynth/synthesizers/adapters/base.py",
    "tabsynth/schema/sdv_metadata.py",
    "evaluation/sdmetrics_adapter.py",
}

NETWORK = {"aiohttp", "ftplib", "http", "httpx", "requests", "smtplib", "socket", "telnetlib", "urllib", "urllib3"}
PICKLES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
FORBIDDEN = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "pd.read_pickle", "np.load"}

SEEDING = {"np.random.seed", "numpy.random.seed", "random.seed", "torch.manual_seed", "torch.cuda.manual_seed_all"}
SEEDERS = {"tabsynth/synthesizers/adapters/object_state.py", "tabsynth/synthesizers/adapters/base.py"}
"""The packages behind the adapters know global seeds only; they are set for one call and put back."""


def modules() -> list[Path]:
    """Every module of the three folders, each once: the links tabsynth/privacy and tabsynth/evaluation are left out."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if "__pycache__" not in parts and parts[:2] not in {("tabsynth", "privacy"), ("tabsynth", "evaluation")}:
                found.append(path)
    return found


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Source:
    """One module: its text, and what it imports and calls, each with its line."""

    name: str
    text: str
    documented: bool
    imports: list[tuple[int, str, bool]]  # and whether the import runs when the module is imported
    from_tabsynth: list[tuple[int, str]]
    calls: list[tuple[int, str, ast.Call]]


@cache
def sources() -> list[Source]:
    """Every module, parsed once for all tests."""
    return [read_source(path) for path in modules()]


def read_source(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = Source(name_of(path), text, bool(ast.get_docstring(tree)), [], [], [])
    collect(tree, found, at_import=True)
    return found


def collect(node: ast.AST, found: Source, *, at_import: bool) -> None:
    """Add the imports and calls below a node."""
    if isinstance(node, ast.Import):
        found.imports.extend((node.lineno, alias.name, at_import) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        found.imports.append((node.lineno, node.module or "", at_import))
        if node.module == "tabsynth":
            found.from_tabsynth.extend((node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call):
        found.calls.append((node.lineno, dotted(node.func), node))
    lazy = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or type_checking(node)
    for child in ast.iter_child_nodes(node):
        collect(child, found, at_import=at_import and not lazy)


def dotted(function: ast.expr) -> str:
    """``a.b.c`` of an attribute of names; ``?.c`` of an attribute of anything else."""
    if isinstance(function, ast.Attribute):
        return f"{dotted(function.value)}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else "?"


def type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_public_names_are_pinned() -> None:
    assert sorted(tabsynth.__all__) == PUBLIC
    assert dir(tabsynth) == PUBLIC


def test_public_names_are_defined_where_we_say() -> None:
    values = {name: getattr(tabsynth, name) for name in PUBLIC}
    assert {name: value.__module__ for name, value in values.items()} == tabsynth._HOMES
    assert [name for name, value in values.items() if not value.__doc__] == []


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Synthesiser'"):
        _ = tabsynth.Synthesiser


@pytest.mark.parametrize(("also", "light"), [("", []), (".data, tabsynth.cli.inspect", ["pandas", "numpy"])])
def test_import_is_light(also: str, light: list[str]) -> None:
    """Importing tabsynth imports nothing that takes time, and a command that fits nothing no library of models."""
    heavy = ["torch", "sdv", "ctgan", "opacus", "sklearn", "pandas", "numpy", "scipy"]
    code = f"import sys, tabsynth{also}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(light)


def test_every_module_imports_and_every_model_is_made_without_the_licensed_packages() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    names = [name if name.split(".")[0] == "tabsynth" else f"tabsynth.{name}" for name in names]
    code = (
        f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
        "from tabsynth.synthesizers import registry\nfor kind in registry.KINDS: registry.create(kind)\n"
        f"print(sorted(({LICENSED} | {{'privacy', 'evaluation'}}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_no_bare_names() -> None:
    importlib.import_module("tabsynth.privacy")
    importlib.import_module("tabsynth.evaluation")
    assert not {"privacy", "evaluation"} & set(sys.modules)


def test_every_module_has_a_place_in_the_layers() -> None:
    """import-linter ignores a module that no layer names."""
    layers = " ".join(project()["tool"]["importlinter"]["contracts"][0]["layers"])
    placed = set(re.findall(r"[\w.]+", layers))
    for path in modules():
        top, *rest = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join([FOLDERS[top], *rest])
        if rest[-1] not in {"__init__", "__main__"}:
            assert any(name == place or name.startswith(f"{place}.") for place in placed), f"{name}: see importlinter"


def test_a_folder_has_at_most_fifteen_modules_and_the_root_four() -> None:
    folders = Counter(path.parent for path in modules() if path.stem not in {"__init__", "__main__"})
    assert {folder: count for folder, count in folders.items() if count > 15} == {}
    assert folders[ROOT / "tabsynth"] <= 4


def test_every_folder_is_a_listed_package() -> None:
    listed = set(project()["tool"]["setuptools"]["packages"])
    found = set()
    for path in modules():
        top, *rest = path.parent.relative_to(ROOT).parts
        found.add(".".join([FOLDERS[top], *rest]))
    assert found == listed


def test_modules_fit_on_a_few_pages() -> None:
    assert [source.name for source in sources() if len(source.text.splitlines()) > 300] == []


def test_test_files_fit_on_a_few_pages() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert [name_of(path) for path, count in lines.items() if count > 300] == []


def test_modules_say_what_they_are_for() -> None:
    assert [source.name for source in sources() if not source.documented] == []


def test_licensed_packages_stay_in_their_adapters() -> None:
    wrong = [
        f"{source.name}:{line}: {module}"
        for source in sources()
        for line, module, at_import in source.imports
        if module.split(".")[0] in LICENSED and (source.name not in ADAPTERS or at_import)
    ]
    assert wrong == [], "imported outside the adapters, or not inside a function"


def test_install_commands_come_from_one_helper() -> None:
    """A command that names the import would install another project's package."""
    wrong = [source.name for source in sources() if "pip install" in source.text]
    assert wrong == ["tabsynth/errors.py"]


def test_extras_named_in_the_code_exist() -> None:
    extras = set(project()["project"]["optional-dependencies"])
    named = {
        ast.literal_eval(call.args[2])
        for source in sources()
        for _, called, call in source.calls
        if called == "missing_package" and len(call.args) == 3
    }
    assert named
    assert named <= extras


def test_nobody_is_sent_to_another_projects_package() -> None:
    """The name of the import belongs to another project on the package index."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.*"), *modules()]
    wrong = [path.name for path in texts if re.search(r"pip install (-\S+ )*['\"]?tabsynth\b", path.read_text("utf-8"))]
    assert wrong == []
    assert project()["project"]["name"] != "tabsynth"


def test_nothing_talks_to_a_network_or_pickles() -> None:
    """No connection is opened, and a file that is read runs no code."""
    wrong = []
    for source in sources():
        for line, module, _ in source.imports:
            # Parsing a URL opens nothing, and a Unix socket does not leave the machine.
            local = module == "urllib.parse" or (module, source.name) == ("socket", "tabsynth/federated/sockets.py")
            if not local and module.split(".")[0] in NETWORK | PICKLES:
                wrong.append(f"{source.name}:{line}: {module}")
    assert wrong == []
    assert [source.name for source in sources() if "AF_INET" in source.text] == []


def test_no_forbidden_calls() -> None:
    """No code from text, no unpickling, no global seeds: pass a Generator instead."""
    wrong = [
        f"{source.name}:{line}: {called}"
        for source in sources()
        for line, called, _ in source.calls
        if called in FORBIDDEN or called.endswith(".to_pickle") or (called in SEEDING and source.name not in SEEDERS)
    ]
    assert wrong == []


def test_inside_we_import_from_the_defining_module() -> None:
    """``from tabsynth import Schema`` is for users; ``from tabsynth import store`` names a module and is fine."""
    wrong = [
        f"{source.name}:{line}: {name}"
        for source in sources()
        for line, name in source.from_tabsynth
        if name in PUBLIC and not source.name.endswith("__main__.py")
    ]
    assert wrong == []
