"""Texts of mails, which a store may write itself: Django's template language, and little of it.

Merchants write them, and what they are made with comes from buyers. So there are only the tags and
filters below: none reads a file, asks the database, or makes much out of little. What a text comes
to is counted while it is made, so that no loop in a loop fills the memory or takes for ever.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from django.conf import settings
from django.template import Context, Engine, Library, TemplateSyntaxError, defaultfilters
from django.template import defaulttags as tags
from django.template.base import Node, NodeList, Parser, Token

from events.services.notices import Words

# How long each part of a template may be, and how long a text that is made of it.
TEMPLATE_MAX = {"subject": 200, "text": 20_000, "html": 50_000}
MADE_MAX = 300_000
# How often all loops of a template may turn.
TURNS_MAX = 10_000
SUBJECT_MAX = 250
TAGS = ("if", "for", "comment")
FILTERS = (
    *("capfirst", "default", "first", "last", "length", "linebreaksbr", "lower"),
    *("pluralize", "truncatechars", "upper"),
)
_FOLDER = Path(settings.BASE_DIR) / "templates" / "mails"


class TextFault(Exception):
    """Why nothing can be made of a template, for whoever has written it."""


class Texts(NamedTuple):
    """Templates, or what was made of them."""

    subject: str
    text: str
    html: str


register = Library()
register.tag("comment", tags.comment)
register.tag("if", tags.do_if)
for _name in FILTERS:
    register.filter(_name, getattr(defaultfilters, _name))


@register.tag("for")
def _counted_loop(parser: Parser, token: Token) -> Node:
    loop: Any = tags.do_for(parser, token)
    loop.nodelist_loop = NodeList([_Turn(loop.nodelist_loop)])
    loop.sequence = _Sequence(loop.sequence)
    node: Node = loop
    return node


class _Sequence:
    """What a loop goes through. Django takes what is not there for a list of nothing."""

    def __init__(self, sequence: Any) -> None:
        self.sequence = sequence

    def resolve(self, context: Any, ignore_failures: bool) -> Any:
        found = self.sequence.resolve(context, ignore_failures=True)
        if found is None and context.template.engine.string_if_invalid:
            raise TextFault(f"There is nothing called {self.sequence} here.")
        return found


class _Turn(Node):
    """What a loop repeats. Each turn takes of the room that there is for all of them."""

    child_nodelists = ("nodelist",)

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Context) -> Any:
        spent = context.render_context
        turns = spent["turns"] = (spent.get("turns") or 0) + 1
        if turns > TURNS_MAX:
            raise TextFault(f"Its loops turn more than {TURNS_MAX:,} times.")
        made = self.nodelist.render(context)
        length = spent["length"] = (spent.get("length") or 0) + len(made)
        if length > MADE_MAX:
            raise TextFault(f"It comes to more than {MADE_MAX:,} characters.")
        return made


class _Engine(Engine):
    default_builtins: ClassVar[list[str]] = []


# What stands for a name that there is not, where it is looked for such.
_UNKNOWN = re.compile("\ue000(.*?)\ue001", re.DOTALL)


@cache
def _engine(*, checking: bool) -> Engine:
    unknown = "\ue000%s\ue001" if checking else ""
    return _Engine(loaders=[], builtins=[__name__], string_if_invalid=unknown)


@cache
def ours(notice: str) -> Texts:
    """Return the templates that we bring. The first line of the text says the subject."""
    subject, text = (_FOLDER / f"{notice}.txt").read_text().split("\n\n", 1)
    html = (_FOLDER / f"{notice}.html").read_text()
    return Texts(subject.removeprefix("Subject: "), text, html)


def made(templates: Texts, words: Words) -> Texts:
    """Make a mail. Raises: TextFault."""
    subject, text, html = (
        _rendered(part, template, words, checking=False)
        for part, template in templates._asdict().items()
    )
    return Texts(_one_line(subject)[:SUBJECT_MAX], text.strip() + "\n", html.strip() + "\n")


def faults(templates: Texts, sample: Words) -> Iterator[tuple[str, str]]:
    """Tell of each part why nothing good can be made of it."""
    for part, template in templates._asdict().items():
        try:
            result = _rendered(part, template, sample, checking=True)
        except TextFault as fault:
            yield part, str(fault)
            continue
        if unknown := sorted(set(_UNKNOWN.findall(result))):
            yield part, f"There is nothing called {', '.join(unknown)} here."
        elif not result.strip():
            yield part, "Nothing is left of it."


def _rendered(part: str, template: str, words: Words, *, checking: bool) -> str:
    """Raises: TextFault."""
    if len(template) > TEMPLATE_MAX[part]:
        raise TextFault(f"It is longer than {TEMPLATE_MAX[part]:,} characters.")
    # A copy of plain things, which a template may spoil.
    plain = json.loads(json.dumps(words))
    try:
        compiled = _engine(checking=checking).from_string(template)
        result = str(compiled.render(Context(plain, autoescape=part == "html")))
    except TextFault:
        raise
    except TemplateSyntaxError as error:
        raise TextFault(_short(str(error))) from error
    except RecursionError as error:
        raise TextFault("Too many blocks lie in each other.") from error
    except Exception as error:
        # Filters have exceptions of their own for what they cannot do.
        raise TextFault(_short(f"It cannot be made: {error}")) from error
    if len(result) > MADE_MAX:
        raise TextFault(f"It comes to more than {MADE_MAX:,} characters.")
    return result


def _short(said: str) -> str:
    return said.split(" Did you forget")[0][:500]


def _one_line(subject: str) -> str:
    """What stands in a header has no line of its own, whatever a buyer called himself."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", subject).split())
