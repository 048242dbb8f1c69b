"""Words of a text as the word index compares them: folded, without grammar's small words, cut to a stem.

The stemmer only takes off what English inflects ("returns", "returned", "returning" meet; "return" and "returnable" do
not): a word index beside embeddings has to be exact rather than clever. Words of other languages are folded the same way and
keep their endings, except a plural s.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
#: Spellings that callers, recognisers and writers do not agree on.
_SPELLINGS = (
    (re.compile(r"\be[ -]mail"), "email"),
    (re.compile(r"\bp\.? ?o\.? box"), "pobox"),
    (re.compile(r"\bpost office box"), "pobox"),
    (re.compile(r"\bwi[ -]fi\b"), "wifi"),
)
_SHORTEST_STEM = 3

_SMALL_WORDS = frozenset(
    # English
    "a an the and or but if so of to in on at by for from with without as is are was were be been being am do does did "
    "doing have has had having will would can could should shall may might must i me my mine we us our ours you your "
    "yours he him his she her it its they them their this that these those there here what which who whom whose when "
    "where why how not no nor than then too very just about into over under again also any some all each other such own "
    "same only out off up down get got let please hello hi okay ok um uh well like tell know want need ain aren couldn "
    "didn doesn don hadn hasn haven isn shouldn wasn weren won wouldn "
    # Spanish
    "el la los las un una unos unas y o pero si de del al en con sin por para que es son era ser estar esta este esto "
    "esa ese eso yo tu su sus mi mis me te se le les lo nos cual cuando donde como no ni muy ya hay ha he puedo "
    "quiero tengo "
    # French
    "le les des du et ou mais dans sur avec sans pour par que qui quoi est sont etre ce cet cette ces je tu il elle "
    "nous vous ils elles mon ma mes ton ta tes son sa ses votre vos notre nos ne pas plus y quel quelle quand comment "
    "puis peux veux ai "
    # Arabic
    "في من على الى إلى عن مع هل ما ماذا هذا هذه ذلك التي الذي كيف متى أين اين لا أن ان "
    "أنا انا هو هي أو او و ثم قد كان".split()
)


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The stem of a folded word."""
    if len(word) <= _SHORTEST_STEM or word.isdigit() or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "i"
    for ending in ("ing", "edly", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= _SHORTEST_STEM:
            word = base[:-1] if base[-1] == base[-2] and base[-1] not in "ls" else base
            break
    else:
        if word.endswith(("ches", "shes", "sses", "xes", "zes")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us")):
            word = word[:-1]
    if len(word) > _SHORTEST_STEM and word.endswith("e"):
        word = word[:-1]
    if len(word) > _SHORTEST_STEM and word.endswith("y"):
        word = word[:-1] + "i"
    return word


def stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, repeats kept."""
    decomposed = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    folded = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    for pattern, spelling in _SPELLINGS:
        folded = pattern.sub(spelling, folded)
    words = (word.split("'")[0] for word in _WORD.findall(folded))
    return [stem(word) for word in words if word not in _SMALL_WORDS and not (len(word) == 1 and word.isalpha())]
