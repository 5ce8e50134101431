"""Style that a reader would otherwise have to watch for: lengths, names, docstrings, what may be imported."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for package in ("headend", "meter_sim") for path in (ROOT / package).rglob("*.py"))
DOMAIN = [path for path in MODULES if path.is_relative_to(ROOT / "headend" / "domain")]
SHORT = [ROOT / "headend" / "domain", ROOT / "meter_sim" / "lab" / "faults"]

LINES_MAX = 400
LINES_MAX_SHORT = 150
FUNCTION_LINES_MAX = 60
VAGUE_NAMES = {"utils", "helpers", "common", "manager", "base"}
IMPURE_MODULES = {"time", "random", "secrets", "socket", "threading", "asyncio", "os", "subprocess"}
INEXACT_WORDS = re.compile(r"\bfloat\(|\bDecimal\b|\bfrom decimal\b|\bimport decimal\b")
# Who may print: the commands, the broker's one ready line, the laboratory's report.
MAY_PRINT = ("headend/cli", "meter_sim/cli", "headend/adapters/embedded_broker.py", "headend/wire/publish.py")
MAY_PRINT_FOLDERS = ("meter_sim/lab/",)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def tracked_files() -> list[Path]:
    """Return all files that git tracks, or would after an add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 10
    assert DOMAIN


def test_files_are_short() -> None:
    too_long = []
    for path in MODULES:
        limit = LINES_MAX_SHORT if any(path.is_relative_to(folder) for folder in SHORT) else LINES_MAX
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > limit:
            too_long.append(f"{name_of(path)}: {lines} lines, at most {limit}")
    assert not too_long


def test_functions_are_short() -> None:
    too_long = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long.append(f"{name_of(path)}:{node.lineno} {node.name}: {lines} lines")
    assert not too_long, f"functions have at most {FUNCTION_LINES_MAX} lines"


def test_no_module_has_a_vague_name() -> None:
    parts = {part for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & VAGUE_NAMES


def test_every_module_has_a_docstring() -> None:
    assert not [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))]


def test_importing_the_package_costs_nothing() -> None:
    body = tree_of(ROOT / "headend" / "__init__.py").body
    assert len(body) == 1, "headend/__init__.py holds a docstring only"
    assert isinstance(body[0], ast.Expr)


def test_only_commands_print() -> None:
    printing = []
    for path in MODULES:
        name = name_of(path)
        if name.startswith(MAY_PRINT_FOLDERS) or name.startswith(MAY_PRINT):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                printing.append(f"{name}:{node.lineno}")
    assert not printing


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_domain_is_exact(path: Path) -> None:
    numbers = [f"line {node.lineno}: {node.value}" for node in ast.walk(tree_of(path)) if is_float(node)]
    assert not numbers, "money and energy are integers"
    assert not INEXACT_WORDS.findall(path.read_text(encoding="utf-8"))


def is_float(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_domain_knows_no_clock_no_chance_and_no_io(path: Path) -> None:
    assert not imported_modules(path) & IMPURE_MODULES


def test_no_file_names_a_package_registry() -> None:
    hosts = [
        "py" + "pi.org",
        "python" + "hosted.org",
        "npm" + "js.org",
        "npm" + "js.com",
        "deb" + ".debian.org",
    ]
    options = ["--extra-" + "index-url", "--trusted" + "-host="]
    pattern = re.compile("|".join(re.escape(text) for text in hosts + options))
    naming = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        naming += [f"{path.relative_to(ROOT)}: {found}" for found in set(pattern.findall(text))]
    assert not naming


def test_imports_point_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
