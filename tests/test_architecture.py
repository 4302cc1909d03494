"""Architectural rules that are checked by reading the code: public names, imports and forbidden calls."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
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


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported module with whether the import runs when the file is imported."""
    lazy = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)) or type_checking(outer)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", id(node) not in lazy


def type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


each_module = pytest.mark.parametrize("path", modules(), ids=name_of)


def test_public_names_are_pinned() -> None:
    assert sorted(tabsynth.__all__) == PUBLIC
    assert dir(tabsynth) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_defined_where_we_say(name: str) -> None:
    value = getattr(tabsynth, name)
    assert value.__module__ == tabsynth._HOMES[name]
    assert value.__doc__


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Synthesiser'"):
        _ = tabsynth.Synthesiser


def test_import_is_light() -> None:
    """Importing tabsynth imports nothing that takes time."""
    heavy = ["torch", "sdv", "ctgan", "opacus", "sklearn", "pandas", "numpy", "scipy"]
    code = f"import sys, tabsynth; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_module_imports_without_the_licensed_packages() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    names = [name if name.split(".")[0] == "tabsynth" else f"tabsynth.{name}" for name in names]
    code = (
        f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
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


@each_module
def test_module_fits_on_a_few_pages(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_test_files_fit_on_a_few_pages() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert [name_of(path) for path, count in lines.items() if count > 300] == []


@each_module
def test_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@each_module
def test_licensed_packages_stay_in_their_adapters(path: Path) -> None:
    for module, at_import in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if module.split(".")[0] in LICENSED:
            assert name_of(path) in ADAPTERS, f"{module} is imported outside the adapters"
            assert not at_import, f"{module} must be imported inside a function"


@each_module
def test_install_commands_come_from_one_helper(path: Path) -> None:
    """A command that names the import would install another project's package."""
    if name_of(path) != "tabsynth/errors.py":
        assert "pip install" not in path.read_text(encoding="utf-8")


def test_extras_named_in_the_code_exist() -> None:
    extras = set(project()["project"]["optional-dependencies"])
    named = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "missing_package" and len(node.args) == 3:
                named.add(ast.literal_eval(node.args[2]))
    assert named
    assert named <= extras


def test_nobody_is_sent_to_another_projects_package() -> None:
    """The name of the import belongs to another project on the package index."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.*"), *modules()]
    wrong = [path.name for path in texts if re.search(r"pip install (-\S+ )*['\"]?tabsynth\b", path.read_text("utf-8"))]
    assert wrong == []
    assert project()["project"]["name"] != "tabsynth"


@each_module
def test_nothing_talks_to_a_network_or_pickles(path: Path) -> None:
    for module, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        # Parsing a URL opens nothing, and a Unix socket does not leave the machine.
        local = module == "urllib.parse" or (module, name_of(path)) == ("socket", "tabsynth/federated/sockets.py")
        assert local or module.split(".")[0] not in NETWORK, f"{module}: no connection is opened"
        assert module.split(".")[0] not in PICKLES, f"{module}: a file that is read must not run code"
    assert "AF_INET" not in path.read_text(encoding="utf-8")


@each_module
def test_no_forbidden_calls(path: Path) -> None:
    """No code from text, no unpickling, no global seeds."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {"eval", "exec", "compile", "__import__"}, f"line {node.lineno}: {called}"
        assert called not in {"torch.load", "torch.save", "pd.read_pickle", "np.load"}, f"line {node.lineno}: {called}"
        assert not called.endswith(".to_pickle"), f"line {node.lineno}: {called}"
        if name_of(path) not in SEEDERS:
            assert called not in SEEDING, f"line {node.lineno}: {called}; pass a Generator instead"


@each_module
def test_inside_we_import_from_the_defining_module(path: Path) -> None:
    """``from tabsynth import Schema`` is for users; ``from tabsynth import store`` names a module and is fine."""
    if path.name == "__main__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "tabsynth":
            assert not {alias.name for alias in node.names} & set(PUBLIC), f"line {node.lineno}"
