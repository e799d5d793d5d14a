"""Guards that are found in the source, so that none is forgotten: by what they look like."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
APPS = ("api", "events", "inventory", "orders", "payments", "backoffice", "demo")


@dataclass(frozen=True)
class Replacement:
    """Write `new` for `old`, which the file has exactly once."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Found:
    """Where a guard was found, as a person names it, and how it is taken away there."""

    where: str
    change: Replacement


class Source:
    """A file of ours, and changes of it at places that the syntax tells."""

    def __init__(self, path: Path) -> None:
        self.path = str(path.relative_to(PROJECT))
        self.text = path.read_text()
        self._lines = self.text.splitlines(keepends=True)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: parent for parent in self.nodes for child in ast.iter_child_nodes(parent)}

    def offset(self, line: int, column: int) -> int:
        before = self._lines[line - 1].encode()[:column].decode()
        return sum(map(len, self._lines[: line - 1])) + len(before)

    def span(self, node: Any) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def place(self, node: ast.AST) -> str:
        """Name the function or class that something is in."""
        names = []
        above: ast.AST | None = node
        while above:
            if isinstance(above, ast.FunctionDef | ast.ClassDef):
                names.append(above.name)
            above = self.parents.get(above)
        module = self.path.removesuffix(".py").replace("/", ".")
        return ".".join([module, *reversed(names)])

    def replaced(self, begin: int, end: int, new: str) -> Replacement:
        """Replace this span, with as many lines before it as it takes to have it once."""
        start = self.text.rfind("\n", 0, begin) + 1
        stop = self.text.find("\n", end)
        stop = len(self.text) if stop < 0 else stop
        while self.text.count(self.text[start:stop]) > 1:
            start = self.text.rfind("\n", 0, start - 1) + 1
        old = self.text[start:stop]
        changed = self.text[start:begin] + new + self.text[end:stop]
        return Replacement(self.path, old, changed)


@cache
def sources() -> list[Source]:
    return [
        Source(path)
        for app in APPS
        for path in sorted((PROJECT / app).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def _with(word: str) -> Iterator[Source]:
    """Find the files that have a word at all: to read all of them takes seconds."""
    return (source for source in sources() if word in source.text)


def _calls(source: Source, name: str) -> Iterator[tuple[ast.Call, ast.Attribute]]:
    """Find calls of a method, each with the place of its name."""
    for node in source.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == name
        ):
            yield node, node.func


def _without_call(source: Source, call: ast.Call, method: ast.Attribute) -> Replacement:
    """Take `.method(…)` away, and leave what it was called on."""
    return source.replaced(source.span(method.value)[1], source.span(call)[1], "")


def locks() -> Iterator[Found]:
    """Each row lock that is asked of Django."""
    for source in _with("select_for_update"):
        for call, method in _calls(source, "select_for_update"):
            yield Found(source.place(call), _without_call(source, call, method))


def strengths() -> Iterator[Found]:
    """Each row lock that lets others refer to the row."""
    for source in _with("select_for_update"):
        for call, _ in _calls(source, "select_for_update"):
            for keyword in call.keywords:
                if keyword.arg == "no_key":
                    begin, end = source.span(keyword)
                    yield Found(source.place(call), source.replaced(begin, end, "no_key=False"))


def orders_of_locks() -> Iterator[Found]:
    """Each order in which Django locks several rows, where it stands beside the lock."""
    for source in _with("select_for_update"):
        for call, method in _calls(source, "select_for_update"):
            for ordered, of in _calls(source, "order_by"):
                around, inside = source.span(call), source.span(ordered)
                is_before = around[0] <= inside[0] and inside[1] <= source.span(method.value)[1]
                parent = source.parents.get(call)
                is_after = isinstance(parent, ast.Attribute) and parent.attr == "filter"
                if is_before or (is_after and inside[0] <= around[0] and around[1] <= inside[1]):
                    yield Found(source.place(call), _without_call(source, ordered, of))


def claims() -> Iterator[Found]:
    """Each key of a call that is claimed, so that it happens once."""
    for source in _with("claim("):
        for node in source.nodes:
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Name)
                and node.value.func.id == "claim"
            ):
                begin, end = source.span(node)
                yield Found(source.place(node), source.replaced(begin, end, "pass"))


def views() -> Iterator[Found]:
    """What each view of the API asks of its caller, beyond a token of some kind."""
    for source in _with("permission_classes"):
        if source.path.startswith(("backoffice", "demo")):
            continue
        for node in source.nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            for line in node.body:
                if _assigns(line, "permission_classes") and "Any" not in ast.unparse(line):
                    if ast.unparse(line).endswith("[]"):
                        continue
                    begin, end = source.span(line)
                    yield Found(source.place(node), source.replaced(begin, end, "pass"))


def _assigns(line: ast.stmt, name: str) -> bool:
    return (
        isinstance(line, ast.Assign)
        and isinstance(line.targets[0], ast.Name)
        and line.targets[0].id == name
    )


def refusals_of_pages() -> Iterator[Found]:
    """Each place where a page of the back office refuses somebody's role."""
    for source in _with("PermissionDenied"):
        if not source.path.startswith("backoffice"):
            continue
        for node in source.nodes:
            if isinstance(node, ast.Raise) and ast.unparse(node) == "raise PermissionDenied":
                begin, end = source.span(node)
                yield Found(source.place(node), source.replaced(begin, end, "pass"))


def rights_of_pages() -> Iterator[Found]:
    """Each method by which Django asks whether somebody may see, add, change or delete."""
    for source in _with("_permission"):
        if not source.path.startswith("backoffice"):
            continue
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_permission"):
                if not node.name.startswith("has_"):
                    continue
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return):
                        begin, end = source.span(inner)
                        yield Found(source.place(node), source.replaced(begin, end, "return True"))


def deploy_checks() -> Iterator[Found]:
    """Each message of `check --deploy`, by its id."""
    for source in _with("holdfast."):
        for node in source.nodes:
            if isinstance(node, ast.Call):
                ids = [each.value for each in node.keywords if each.arg == "id"]
                if not ids or not isinstance(ids[0], ast.Constant):
                    continue
                if not str(ids[0].value).startswith("holdfast."):
                    continue
                around = source.parents[node]
                if isinstance(around, ast.Yield):
                    begin, end = source.span(around)
                    # What is yielded nowhere makes a generator all the same.
                    silent = f"(yield) if False else {source.text[slice(*source.span(node))]}"
                    yield Found(str(ids[0].value), source.replaced(begin, end, silent))
                else:
                    begin, end = source.span(around)
                    yield Found(str(ids[0].value), source.replaced(begin, end, "[]"))
