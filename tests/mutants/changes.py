"""Which small changes of a module somebody ought to notice: mutmut's, and some of our own.

Functions and methods are changed, and nothing that runs while a module is imported: decorators,
defaults, constants and the fields of models stay. So does prose, which no test should pin down.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

LONGEST_TELLING = 90

_TRUE, _FALSE = cst.Name("True"), cst.Name("False")
_NEVER_INSIDE = (cst.Annotation, cst.Decorator, cst.Parameters)
_LEFT_OUT = m.Expr(m.Call()) | m.Assign() | m.AugAssign() | m.Del()


@dataclass(frozen=True)
class Mutant:
    """One change of one function of a module, in words and as the source of the whole module."""

    function: str
    # A test that runs none of these lines cannot notice it.
    lines: range
    told: str
    module: cst.Module
    # The function or class of the module in which it happens.
    outermost: cst.FunctionDef | cst.ClassDef
    before: cst.CSTNode
    after: cst.CSTNode

    def source(self) -> str:
        # A whole module takes a tenth of a second to write.
        changed = self.outermost.deep_replace(self.before, self.after)
        assert isinstance(changed, cst.CSTNode)
        old, new = (self.module.code_for_node(each) for each in (self.outermost, changed))
        return self.module.code.replace(old, new, 1)


def _leave_out_statement(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    """What is done without giving anything a name: a call, a value set, a thing deleted."""
    if len(node.body) == 1 and m.matches(node.body[0], _LEFT_OUT) and not _names(node.body[0]):
        yield node.with_changes(body=[cst.Pass()])


def _names(statement: cst.CSTNode) -> bool:
    """Tell whether a statement gives a name: without it, the next line would fail anyhow."""
    return isinstance(statement, cst.Assign) and not all(
        isinstance(target.target, cst.Attribute | cst.Subscript) for target in statement.targets
    )


def _leave_out_argument(node: cst.Call) -> Iterator[cst.CSTNode]:
    if not m.matches(node.func, m.Name("len") | m.Name("isinstance") | m.Name("cast")):
        for place, argument in enumerate(node.args):
            if not _is_prose(argument.value):
                yield node.with_changes(args=[*node.args[:place], *node.args[place + 1 :]])


def _never(node: cst.If) -> Iterator[cst.CSTNode]:
    yield node.with_changes(test=_FALSE)


def _let_all_through(node: cst.CompIf) -> Iterator[cst.CSTNode]:
    yield node.with_changes(test=_TRUE)


def _swallow(node: cst.ExceptHandler) -> Iterator[cst.CSTNode]:
    yield node.with_changes(body=cst.SimpleStatementSuite([cst.Pass()]))


def _without_context(node: cst.With) -> Iterator[cst.CSTNode]:
    if not any(item.asname for item in node.items):
        yield cst.If(test=_TRUE, body=node.body)


def _other_string(node: cst.SimpleString) -> Iterator[cst.CSTNode]:
    """The first of mutmut's changes of a text; the others are about its letters' case."""
    if not _is_prose(node):
        yield from list(mutators.operator_string(node))[:1]


def _is_prose(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.FormattedString | cst.ConcatenatedString) or (
        isinstance(node, cst.SimpleString) and " " in node.value
    )


_OPERATORS: list[tuple[type, Callable[[Any], Iterable[cst.CSTNode]]]] = [
    (cst.SimpleStatementLine, _leave_out_statement),
    (cst.Call, _leave_out_argument),
    (cst.If, _never),
    (cst.CompIf, _let_all_through),
    (cst.ExceptHandler, _swallow),
    (cst.With, _without_context),
    (cst.SimpleString, _other_string),
    (cst.BaseNumber, mutators.operator_number),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, mutators.operator_unsymmetrical_string_methods_swap),
    (cst.Lambda, mutators.operator_lambda),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.Match, mutators.operator_match),
    (cst.IfExp, mutators.operator_if_exp),
]


def mutants(source: str) -> list[Mutant]:
    finding = _Finding()
    MetadataWrapper(cst.parse_module(source)).visit(finding)
    return finding.found


class _Finding(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Mutant] = []
        self._module = cst.Module([])
        self._around: list[cst.FunctionDef | cst.ClassDef] = []
        self._statements: list[range] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Module):
            self._module = node
        if isinstance(node, _NEVER_INSIDE) or _is_docstring(node) or _is_sentence(node):
            return False
        if isinstance(node, cst.BaseStatement):
            self._statements.append(self._lines_of(node))
        if any(isinstance(each, cst.FunctionDef) for each in self._around):
            self._change(node)
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._around.append(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.BaseStatement) and not _is_docstring(original_node):
            self._statements.pop()
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._around.pop()

    def _change(self, node: cst.CSTNode) -> None:
        for kind, operator in _OPERATORS:
            if isinstance(node, kind):
                self.found += [self._mutant(node, changed) for changed in operator(node)]

    def _mutant(self, before: cst.CSTNode, after: cst.CSTNode) -> Mutant:
        line = self.get_metadata(PositionProvider, before).start.line if _is_placed(before) else 0
        words = _beside(self._words(before), self._words(after))
        return Mutant(
            function=self._function(),
            lines=self._lines_that_matter(before),
            told=f"{line or self._statements[-1].start} {self._function()}: {words}",
            module=self._module,
            outermost=self._around[0],
            before=before,
            after=after,
        )

    def _function(self) -> str:
        """Return the name of the outermost function, with the classes around it."""
        names = []
        for each in self._around:
            names.append(each.name.value)
            if isinstance(each, cst.FunctionDef):
                break
        return ".".join(names)

    def _lines_that_matter(self, node: cst.CSTNode) -> range:
        """Return the lines of the statement; where its body is left out, the body's first."""
        if isinstance(node, cst.If | cst.ExceptHandler) and node.body.body:
            first = self.get_metadata(PositionProvider, node.body.body[0]).start.line
            return range(first, first + 1)
        return self._statements[-1]

    def _lines_of(self, node: cst.BaseStatement) -> range:
        """Return a statement's lines; of one with others inside, only those before its body."""
        place = self.get_metadata(PositionProvider, node)
        body = getattr(node, "body", None)
        if isinstance(body, cst.BaseSuite):
            inside = self.get_metadata(PositionProvider, body).start.line
            return range(place.start.line, max(inside, place.start.line + 1))
        return range(place.start.line, place.end.line + 1)

    def _words(self, node: cst.CSTNode) -> str:
        if isinstance(node, cst.If | cst.With | cst.ExceptHandler):
            node = node.with_changes(body=cst.SimpleStatementSuite([cst.Pass()]))
        return re.sub(r"\s+", " ", self._module.code_for_node(node)).strip()


def _beside(before: str, after: str) -> str:
    """Write both, and of long ones only what is around their first difference."""
    pairs = zip_longest(before, after)
    same = next((place for place, (old, new) in enumerate(pairs) if old != new), 0)
    is_long = max(len(before), len(after)) > LONGEST_TELLING
    begin = max(0, same - LONGEST_TELLING // 3) if is_long else 0
    return f"{_cut(before, begin)} → {_cut(after, begin)}"


def _cut(text: str, begin: int) -> str:
    end = begin + LONGEST_TELLING
    return "…" * bool(begin) + text[begin:end] + "…" * (len(text) > end)


def _is_docstring(node: cst.CSTNode) -> bool:
    return m.matches(node, m.SimpleStatementLine([m.Expr(m.SimpleString())]))


def _is_sentence(node: cst.CSTNode) -> bool:
    """Tell whether a text with values in it has words beside them."""
    return isinstance(node, cst.FormattedString) and any(
        isinstance(part, cst.FormattedStringText) and " " in part.value for part in node.parts
    )


def _is_placed(node: cst.CSTNode) -> bool:
    """Operators such as `+` have no place of their own."""
    return not isinstance(node, cst.BaseBinaryOp | cst.BaseBooleanOp | cst.BaseCompOp)
