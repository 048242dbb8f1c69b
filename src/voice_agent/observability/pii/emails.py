"""E-mail addresses, written or spoken ("jane dot doe at example dot com") in English, Spanish, French and Arabic."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WRITTEN = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_TLD = (
    "com|net|org|edu|gov|info|biz|io|dev|app|me|co|uk|us|ca|au|nz|ie|de|fr|es|it|pt|nl|be|ch|at|se|no|dk|fi|pl|eu|sa|ae|"
    "eg|in|jp|mx|ar|br|cl|za|ma|dz|tn|jo|kw|qa|pe|cat|email|online|shop|كوم|نت|أورج|اورج"
)
_DOT = "dot|punto|point|نقطة|نقطه|دوت"
_DASH = "dash|hyphen|guion|guión|tiret|شرطة"
_JOINT = rf"{_DOT}|{_DASH}|underscore|minus|plus|moins|más|menos|subrayado|barra baja|guion bajo|guión bajo|tiret bas"
_AT = "at|arroba|arobase|arobas|آت|ات|أت|إت"
# The name before "at": words joined by spoken signs, or letters spelled one by one.
_SPOKEN = re.compile(
    r"(?<![\w\[])"
    r"(?P<local>(?:\w(?:[ ,-]+\w(?!\w)){1,40}|[\w.+-]{1,64})"
    rf"(?:\s{{1,3}}(?:{_JOINT})\s{{1,3}}\w[\w+-]*|\s{{1,3}}\d+)*)"
    rf"(?:\s{{0,3}}@\s{{0,3}}|\s{{1,3}}(?:{_AT})\s{{1,3}})"
    rf"(?P<host>(?:[\w-]+(?:\s{{1,3}}(?:{_DASH})\s{{1,3}}\w+)*)"
    rf"(?:(?:\s{{1,3}}(?:{_DOT})\s{{1,3}}|\.(?=\w))[\w-]+)*"
    rf"(?:\s{{1,3}}(?:{_DOT})\s{{1,3}}|\.(?=\w))"
    rf"(?:{_TLD}))(?!\w)",
    re.IGNORECASE,
)
# "Visit us at example.com" names a site, not a mailbox.
_NO_MAILBOX = re.compile(
    r"us|them|me|you|it|here|there|up|out|online|website|site|page|shop|store|look|find|visit|go|again|available|now|"
    r"directly|orders?|everything|more|details|information|policy|live|is|are|be|not|shopping|order(?:ed|ing)|bought|read",
    re.IGNORECASE,
)
# What is said right before an address, when the recogniser wrote its name as several words.
_LEAD = re.compile(
    r"(?:\be-?mails?|\bmail|\bcorreo|\belectrónico|\bcourriel|\badresse mail|"
    r"بريدي|الإيميل|ايميلي|إيميلي|الالكتروني|الإلكتروني)"
    r"(?:\s+(?:address|is|it's|to|at|es|est|c'est|هو|الإلكتروني|الالكتروني|electrónico))*[\s:,]+",
    re.IGNORECASE,
)
_NAME_WORDS_MAX = 6
_LEAD_CHARS = 96
_AT_WORDS, _DOT_WORDS = frozenset(_AT.split("|")), frozenset(_DOT.split("|"))
_INNER_DOT = re.compile(r"\w\.\w")
_SIGNS = {
    **dict.fromkeys(_DOT.split("|"), "."),
    **dict.fromkeys(_DASH.split("|"), "-"),
    **dict.fromkeys(("underscore", "subrayado"), "_"),
    **dict.fromkeys(("plus", "más"), "+"),
    **dict.fromkeys(("minus", "moins", "menos"), "-"),
    **dict.fromkeys(_AT.split("|"), "@"),
}


def may_hold_emails(text: str, words: frozenset[str]) -> bool:
    """``words`` are those of ``text``, in lower case. Quick, for the many lines without."""
    if "@" in text:
        return True
    return not words.isdisjoint(_AT_WORDS) and (
        not words.isdisjoint(_DOT_WORDS) or ("." in text and _has_inner_dot(text))
    )


def _has_inner_dot(text: str) -> bool:
    at = text.find(".")
    while at >= 0:
        if _INNER_DOT.match(text, at - 1):
            return True
        at = text.find(".", at + 1)
    return False


def find_emails(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and written form of every address."""
    for match in _WRITTEN.finditer(text):
        yield match.start(), match.end(), match.group().lower()
    for match in _SPOKEN.finditer(text):
        if not _NO_MAILBOX.fullmatch(match["local"]):
            start = _name_start(text, match.start())
            yield start, match.end(), _written(text[start : match.end()])


def _name_start(text: str, start: int) -> int:
    """Where the address begins if the words before it are said to belong to it ("my e-mail is john smith at …")."""
    begin = max(0, start - _LEAD_CHARS)
    before = text[begin:start]
    leads = [lead.end() for lead in _LEAD.finditer(before)]
    if not leads:
        return start
    words = before[leads[-1] :].split()
    plain = all(word.isalnum() for word in words)
    return begin + leads[-1] if plain and len(words) <= _NAME_WORDS_MAX else start


def _written(spoken: str) -> str:
    return "".join(_SIGNS.get(word, word) for word in spoken.lower().replace(",", " ").split())
