"""Hard rules: how words are compared, what a rule finds, and how mistakes in a file are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.locales import LANGUAGES
from voice_agent.errors import ConfigError
from voice_agent.models import Meaning
from voice_agent.providers.data_file import load_data_file, parse_data
from voice_agent.providers.understanding.policy_file import PolicyFile
from voice_agent.providers.understanding.rules import RuleSet, plain_words
from voice_agent.providers.understanding.semantic import load_policy

HEAD = "version: 1\nlocale: en\nignored: [um, please]\nwords:\n  staff: human|agent\nrules:\n"


def rule_set(rules: str) -> RuleSet:
    return parse_data(PolicyFile, HEAD + rules, "own.yaml").rule_set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my order?", "where's my order"),
        ("  UM, the operator -- please! ", "the operator"),
        ("“Quote” ‘this’ it’s", "quote this it's"),
        ("¿Cómo está, señor?", "como esta senor"),
        ("Où est l'opératrice…", "ou est l'operatrice"),
        ("أُريدُ مُوَظَّفًا إلى الشرطة", "اريد موظفا الي الشرطه"),
        ("4111-1111 and snake_case", "4111 1111 and snake case"),
        ("um please", "um please"),
        ("?!", ""),
    ],
)
def test_only_the_words_are_compared(text: str, words: str) -> None:
    assert plain_words(text, frozenset({"um", "please"})) == words


@given(st.text(max_size=80))
def test_plain_words_stay_as_they_are(text: str) -> None:
    once = plain_words(text)
    assert plain_words(once) == once


def test_a_rule_gives_its_meaning_in_any_sentence_unless_something_stands_against_it() -> None:
    rules = rule_set(
        "  - name: wants\n    means: human_wanted\n    patterns: ['\\bwant an? {staff}\\b', '^{staff}$']\n"
        '    unless: ["\\\\bdon\'t want\\\\b"]\n'
    )
    assert rules.meant("Hello there. I want a human.")[Meaning.HUMAN_WANTED].name == "en.wants"
    assert rules.meant("um, AGENT please!").keys() == {Meaning.HUMAN_WANTED}
    assert rules.meant("I don't want a human.") == {}
    assert rules.meant("I don't want a robot. I want an agent.").keys() == {Meaning.HUMAN_WANTED}
    assert rules.meant("the agent smith watch") == {}


def test_a_forbidding_rule_gives_nothing_but_keeps_examples_away() -> None:
    rules = rule_set("  - {name: job, never: human_wanted, patterns: ['^i am an? {staff}\\b']}\n")
    assert rules.meant("I am an agent") == {}
    rule = rules.forbidding_rule(Meaning.HUMAN_WANTED, "I am an agent at a bank")
    assert rule is not None
    assert rule.name == "en.job"
    assert rules.forbidding_rule(Meaning.HUMAN_WANTED, "give me an agent") is None
    assert rules.forbidding_rule(Meaning.ABUSE, "I am an agent at a bank") is None


def test_expressions_are_folded_like_the_words() -> None:
    rules = rule_set("  - {name: person, means: human_wanted, patterns: ['opératrice', 'مُوظّف']}\n")
    assert rules.meant("OPERATRICE").keys() == rules.meant("موظف").keys() == {Meaning.HUMAN_WANTED}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            "  - {name: a, means: abuse, patterns: ['(']}",
            r"own\.yaml:7: rules\.0\.patterns\.0: not a regular expression",
        ),
        (
            "  - name: a\n    means: abuse\n    patterns:\n      - good\n      - b[ad",
            r":11: rules\.0\.patterns\.1: not a regular",
        ),
        ("  - {name: a, means: abuse, patterns: [x], unless: ['*']}", r":7: rules\.0\.unless\.0: not a regular"),
        ("  - {name: a, means: abuse, patterns: ['{nobody}']}", r":7: .*no word list called nobody"),
        ("  - {name: a, means: abuse, patterns: ['Upper']}", r":7: .*lower case"),
        ("  - {name: a, means: abuse, patterns: ['x*']}", r":7: .*found in everything"),
        ("  - {name: a, patterns: [x]}", r":7: rules\.0: a rule has either"),
        ("  - {name: a, means: abuse, never: abuse, patterns: [x]}", r":7: rules\.0: a rule has either"),
        ("  - {name: a, means: none, patterns: [x]}", r":7: rules\.0: a rule is about a class"),
        ("  - {name: a, means: rude, patterns: [x]}", r":7: rules\.0\.means"),
        ("  - {name: a, means: abuse, patterns: []}", r":7: rules\.0\.patterns"),
        ("  - {name: A b, means: abuse, patterns: [x]}", r":7: rules\.0\.name"),
        (
            "  - {name: a, means: abuse, patterns: [x]}\n  - {name: a, means: abuse, patterns: [y]}",
            r":8: rules\.1\.name: another rule is called a",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, rules: str, message: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(HEAD + rules + "\n")
    with pytest.raises(ConfigError, match=message):
        load_data_file(PolicyFile, own, "")


def test_a_bad_word_list_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"own\.yaml:5: words\.staff: not a regular"):
        parse_data(
            PolicyFile,
            HEAD.replace("human|agent", "human|(agent") + "  - {name: a, means: abuse, patterns: [x]}",
            "own.yaml",
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_shipped_rules_carry_the_classes_that_matter_in_every_language(language: str) -> None:
    given_by_rule = {rule.meaning for rule in load_policy(language).rule_set().meaning}
    assert given_by_rule == set(Meaning) - {Meaning.NONE}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "letter", ["a ", "i want to ", "your ", "the my ", "me ", "one ", "forget all your previous ", "ا "]
)
def test_no_shipped_rule_is_slow_on_a_long_turn(language: str, letter: str) -> None:
    """A rule whose cost grows with a high power of the length would not come back from this within the test's limit."""
    rules = load_policy(language).rule_set()
    turn = letter * (4_000 // len(letter))
    rules.meant(turn)
    for meaning in Meaning:
        rules.forbidding_rule(meaning, turn)
