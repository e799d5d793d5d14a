"""What a store may write for its mails, and that nothing it writes does any harm."""

import pytest

from events.services import mailing, notices, texts
from events.services.texts import TextFault, Texts

WORDS = {
    "order": {"number": "7", "name": "<b>Ada</b>", "items": [{"name": "Shirt"}, {"name": "Mug"}]},
    "long": "y" * 2_000,
}


def text(template: str) -> str:
    return texts.made(Texts("s", template, "h"), WORDS).text.strip()


def fault(template: str) -> str:
    found = dict(texts.faults(Texts("s", template, "h"), WORDS))
    assert found.keys() <= {"text"}
    return found.get("text", "")


def test_a_text_says_what_it_is_made_with():
    template = (
        "{% for item in order.items %}{{ item.name|upper }} {% endfor %}of {{ order.number }}"
    )

    assert text(template) == "SHIRT MUG of 7"


def test_what_a_buyer_calls_himself_is_no_markup_in_html_and_as_it_is_in_text():
    made = texts.made(Texts("{{ order.name }}", "{{ order.name }}", "{{ order.name }}"), WORDS)

    assert made == ("<b>Ada</b>", "<b>Ada</b>\n", "&lt;b&gt;Ada&lt;/b&gt;\n")


def test_a_subject_is_one_line_whatever_stands_in_it():
    words = {"name": "Ada\r\nBcc: all@example.com\u2028\x00!"}

    made = texts.made(Texts("Hello\n{{ name }}", "t", "h"), words)

    assert made.subject == "Hello Ada Bcc: all@example.com !"


@pytest.mark.parametrize(
    "template",
    [
        '{% include "admin/base.html" %}',
        '{% extends "admin/base.html" %}',
        "{% load static %}",
        "{% debug %}",
        '{% url "admin:index" %}',
        "{% csrf_token %}",
        "{% autoescape off %}{{ order.name }}{% endautoescape %}",
        '{% with a="b" %}{% endwith %}',
        "{{ order.name|safe }}",
        "{{ long|center:99999999 }}",
        "{{ long|ljust:99999999 }}",
        '{{ long|stringformat:"099999999s" }}',
        "{{ long|join:long|join:long }}",
        "{{ order.name.__class__ }}",
        "{{ settings.SECRET_KEY }}",
        "{{ ordr.number }}",
        "{% for item in order.itms %}{% endfor %}",
        "{% if %}",
        "{% for a, b in long %}{% endfor %}",
        "   ",
        "{% if order.number %}" * 900 + "{% endif %}" * 900,
    ],
)
def test_what_is_no_good_text_is_refused(template):
    assert fault(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in long %}" * 4 + "{% endfor %}" * 4,
        "{% for a in long %}{% for b in long %}{{ long }}{% endfor %}{% endfor %}",
        "{% for a in long %}" + "{{ long }}" * 1_500 + "{% endfor %}",
    ],
)
def test_a_loop_ends_before_it_fills_the_memory(template):
    with pytest.raises(TextFault, match="more than"):
        text(template)


def test_a_text_that_is_too_long_is_refused_before_it_is_read():
    assert "longer than 20,000" in fault("{{ order.number }}" + "x" * 20_000)


def test_a_text_spoils_nothing_for_the_next_one():
    words = {"order": {"number": "7", "items": ["a"]}}

    texts.made(Texts("s", "{{ order.clear }}{{ order.pop }}", "h"), words)

    assert words == {"order": {"number": "7", "items": ["a"]}}


@pytest.mark.django_db
def test_ours_are_good_texts_for_every_notice():
    assert len(notices.known()) >= 7
    for notice in notices.known():
        ours = texts.ours(notice.name)
        assert mailing.faults(notice, ours) == {}, notice.name
        for sample in mailing.samples(notice):
            made = mailing.made_of(notice, sample, ours)
            assert "{" not in made.text
            assert made.subject
            assert max(map(len, made.text.splitlines())) <= 120
