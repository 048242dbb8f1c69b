"""The English rules of ``speakable``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from voice_agent.conversation.spoken_forms.calendar_words import (
    CURRENCIES,
    Style,
    date_words,
    decimal_words,
    money_words,
    time_words,
)
from voice_agent.conversation.spoken_forms.english import MONTHS, WEEKDAYS
from voice_agent.conversation.spoken_forms.numbers import cardinal_words, digit_words, ordinal_words, year_words

Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Style], str]]

_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_AMOUNT: Final = r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2}))?(?![\d.,]*\d)"
_DASH: Final = r"\s?[-–—]\s?"
_MONTH: Final = "|".join([*MONTHS, *(f"{name[:3]}\\.?" for name in MONTHS), "sept\\.?"])
_DAY: Final = "|".join([*WEEKDAYS, "mon", "tues?", "wed", "thu(?:rs?)?", "fri", "sat", "sun"])
_MERIDIEM: Final = r"([ap])\.?m\b\.?"
_SIGNS: Final = {"$": "USD", "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "£": "GBP", "€": "EUR"}
_SIGN: Final = r"(US\$|AU?\$|CA?\$|[$£€]|(?:USD|AUD|CAD|GBP|EUR) ?)"
_SCALES: Final = {"k": "thousand", "m": "million", "mm": "million", "b": "billion", "bn": "billion"}
_TLDS: Final = "com|org|net|io|co|app|dev|shop|store|info|biz|edu|gov|uk|us|au|de|fr|es|eu|ie|nz|ca|in|sa|ae|me|ai"


def _month(name: str) -> int:
    return next(at for at, month in enumerate(MONTHS, 1) if month.startswith(name.lower()[:3]))


def _or_as_is(found: re.Match[str], make: Callable[[], str]) -> str:
    """What looks like a date or time but is none ("25:99") is left to the later rules."""
    try:
        return make()
    except ValueError:
        return found.group()


# --- addresses and codes -------------------------------------------------------------------------------------------


def _letters(text: str) -> str:
    """ "AB" as letters: full stops keep a synthesiser from reading "A" as the article."""
    return "".join(f"{char.upper()}." for char in text)


def _address(text: str) -> str:
    """An e-mail's or a site's text: marks by name, digits one by one, short endings spelled."""
    words: list[str] = []
    for part in re.findall(r"\d+|[^\W\d_]+|.", text):
        if part.isdecimal():
            words.append(digit_words(part).replace(",", ""))
        elif part.isalpha():
            words.append(part if len(part) > 2 or part.lower() in ("co", "io", "me") else _letters(part))
        else:
            words.append(
                {".": "dot", "_": "underscore", "-": "dash", "+": "plus", "/": "slash", "@": "at"}.get(part, "")
            )
    return " ".join(word for word in words if word)


def _site(found: re.Match[str], style: Style) -> str:
    path = re.split(r"[?#]", found.group(2) or "")[0].rstrip("/.,;:!)")
    rest = (found.group(2) or "")[-1:] if (found.group(2) or "")[-1:] in (".", ",", "!", ")") else ""
    return _address(found.group(1) + path) + rest


def _phone(found: re.Match[str], style: Style) -> str:
    text = found.group()
    groups = re.findall(r"\d+", text)
    if sum(map(len, groups)) < 7:
        return text
    spoken = ", ".join(digit_words(group).replace(",", "") for group in groups)
    return f"plus {spoken}" if text.startswith("+") else spoken


def _code(text: str) -> str:
    """A code of letters, digits and dashes, in speakable groups."""
    parts = re.findall(r"\d+|[A-Za-z]+|-", text)
    return " ".join(
        {"-": "dash"}.get(part) or (digit_words(part) if part.isdecimal() else _letters(part)) for part in parts
    )


def _keyed(found: re.Match[str], style: Style) -> str:
    key, code = found.group(1), found.group(2)
    key = re.sub(r"#\s*$", "number ", key) if "number" not in key.lower() else key.replace("#", "")
    return f"{key.rstrip()} {_code(code)}" if len(re.sub(r"\D", "", code)) >= 3 else found.group()


def _long_number(found: re.Match[str], style: Style) -> str:
    """Five digits and more without commas are an identifier, unless round."""
    digits = found.group()
    round_figure = digits.endswith("000") and not digits.startswith("0") and len(digits) <= 12
    return cardinal_words(int(digits), joined=style.joined) if round_figure else digit_words(digits)


# --- dates and times -----------------------------------------------------------------------------------------------


def _iso_date(found: re.Match[str], style: Style) -> str:
    year, month, day, hour, minute = found.groups()

    def make() -> str:
        spoken = date_words(int(year), int(month), int(day), style)
        return f"{spoken} at {time_words(int(hour), int(minute), of_day=True)}" if hour else spoken

    return _or_as_is(found, make)


def _slash_date(found: re.Match[str], style: Style) -> str:
    first, second, year = (int(part) for part in found.groups())
    year += 2_000 if year < 100 else 0
    month, day = (second, first) if style.day_first or first > 12 else (first, second)
    return _or_as_is(found, lambda: date_words(year, month, day, style))


def _month_day(found: re.Match[str], style: Style) -> str:
    month, day, last, year = found.groups()
    if last:
        spoken = f"{MONTHS[_month(month) - 1].capitalize()} {ordinal_words(int(day))} to {ordinal_words(int(last))}"
        return f"{spoken}, {year_words(int(year))}" if year else spoken
    return _or_as_is(found, lambda: date_words(int(year) if year else None, _month(month), int(day), style))


def _day_month(found: re.Match[str], style: Style) -> str:
    day, month, year = found.groups()
    return _or_as_is(found, lambda: date_words(int(year) if year else None, _month(month), int(day), style))


def _month_year(found: re.Match[str], style: Style) -> str:
    return f"{MONTHS[_month(found.group(1)) - 1].capitalize()} {year_words(int(found.group(2)))}"


def _clock(found: re.Match[str], style: Style) -> str:
    hour, minute, meridiem = found.group(1), found.group(2), (found.group(3) or "").lower()
    of_day = not meridiem and hour.startswith("0")
    return _or_as_is(found, lambda: time_words(int(hour), int(minute), meridiem, of_day=of_day))


def _hour(found: re.Match[str], style: Style) -> str:
    return _or_as_is(found, lambda: time_words(int(found.group(1)), 0, found.group(2).lower()))


def _hours(found: re.Match[str], style: Style) -> str:
    """ "9-5pm", "9:30–11 am": the first hour is said without its half of the day, as written."""
    hour, minute = found.group(1), found.group(2)
    spoken = cardinal_words(int(hour)) + (f" {cardinal_words(int(minute))}" if minute and int(minute) else "")
    return f"{spoken} to {found.group(3)}"


def _weekdays(found: re.Match[str], style: Style) -> str:
    first, last = (
        next(day for day in WEEKDAYS if day.startswith(group.lower()[:3])).capitalize() for group in found.groups()
    )
    return f"{first} to {last}"


# --- amounts -------------------------------------------------------------------------------------------------------


def _money_parts(sign: str, whole: str, hundredths: str | None, style: Style) -> str:
    currency = _SIGNS.get(sign.strip().upper(), sign.strip().upper())
    cents = int((hundredths or "0").ljust(2, "0"))
    return money_words(int(whole.replace(",", "")), cents, currency, style)


def _money(found: re.Match[str], style: Style) -> str:
    minus, sign, whole, hundredths = found.groups()
    return ("minus " if minus else "") + _money_parts(sign, whole, hundredths, style)


def _money_range(found: re.Match[str], style: Style) -> str:
    sign, whole, hundredths, _, last, last_hundredths = found.groups()
    low = _money_parts(sign, whole, hundredths, style)
    if not hundredths:
        low = cardinal_words(int(whole.replace(",", "")), joined=style.joined)
    return f"{low} to {_money_parts(sign, last, last_hundredths, style)}"


def _big_money(found: re.Match[str], style: Style) -> str:
    sign, number, scale = found.groups()
    currency = _SIGNS.get(sign.strip().upper(), sign.strip().upper())
    return f"{decimal_words(number, style)} {_SCALES.get(scale.lower(), scale.lower())} {CURRENCIES[currency][1]}"


def _money_after(found: re.Match[str], style: Style) -> str:
    whole, hundredths, name = found.groups()
    names = {"dollar": "USD", "pound": "GBP", "euro": "EUR", "€": "EUR", "£": "GBP", "$": "USD"}
    return _money_parts(names.get(name.lower().rstrip("s"), name), whole, hundredths, style)


def _range(found: re.Match[str], style: Style) -> str:
    low, high = found.groups()
    if (
        all(len(part) == 4 and 1900 <= int(part) <= 2099 for part in (low, high) if part.isdecimal())
        and "." not in low + high
    ):
        return f"{year_words(int(low))} to {year_words(int(high))}"
    return f"{decimal_words(low, style)} to {decimal_words(high, style)}"


_UNITS: Final = {
    "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce", "km": "kilometer",
    "m": "meter", "cm": "centimeter", "mm": "millimeter", "mi": "mile", "yd": "yard", "l": "liter", "L": "liter",
    "ml": "milliliter", "GB": "gigabyte", "MB": "megabyte", "TB": "terabyte", "hr": "hour", "hrs": "hour", "h": "hour",
    "min": "minute", "mins": "minute", "sec": "second", "secs": "second", "s": "second", "W": "watt", "kW": "kilowatt",
    "V": "volt", "mAh": "milliamp hour", "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree",
}  # fmt: skip
_INVARIABLE: Final = {
    "%": "percent",
    "mph": "miles per hour",
    "km/h": "kilometers per hour",
    "ft": "feet",
    "x": "times",
}


def _unit(found: re.Match[str], style: Style) -> str:
    """Leaves the figure for the rules on numbers and ranges."""
    number, unit = found.groups()
    if unit in _INVARIABLE:
        return f"{number} {_INVARIABLE[unit]}"
    name = _UNITS[unit]
    if style.joined:
        name = name.replace("meter", "metre").replace("liter", "litre")
    singular = number == "1" and not re.search(r"[\d–-]\s?$|\d[.,]$", found.string[: found.start()])
    head, _, tail = name.partition(" ")
    plural = f"{head}s {tail}".strip() if tail in ("Celsius", "Fahrenheit") else f"{name}s"
    return f"{number} {name if singular else plural}"


_NAMED_FRACTIONS: Final = {
    (1, 2): "one half", (1, 3): "one third", (2, 3): "two thirds", (1, 4): "one quarter", (3, 4): "three quarters",
    (24, 7): "twenty-four seven",
}  # fmt: skip
_FRACTION_SIGNS: Final = {
    "½": "one half",
    "⅓": "one third",
    "⅔": "two thirds",
    "¼": "one quarter",
    "¾": "three quarters",
}


def _fraction(found: re.Match[str], style: Style) -> str:
    above, below = int(found.group(1)), int(found.group(2))
    return _NAMED_FRACTIONS.get((above, below)) or f"{cardinal_words(above)} out of {cardinal_words(below)}"


def _ordinal(found: re.Match[str], style: Style) -> str:
    digits = found.group(1)
    return ordinal_words(int(digits), joined=style.joined) if len(digits) <= 15 else f"{digit_words(digits)}th"


def _number(found: re.Match[str], style: Style) -> str:
    text, at, end = found.string, found.start(), found.end()
    spoken = decimal_words(found.group(), style)
    before = " " if at and text[at - 1].isalpha() else ""
    return before + spoken + (" " if end < len(text) and text[end].isalpha() else "")


# --- words ---------------------------------------------------------------------------------------------------------

_ABBREVIATIONS: Final = {
    "dr.": "Doctor", "mr.": "Mister", "mrs.": "Missus", "ms.": "Miz", "prof.": "Professor", "etc.": "et cetera",
    "e.g.": "for example", "i.e.": "that is", "vs.": "versus", "approx.": "approximately", "est.": "estimated",
    "dept.": "department", "apt.": "apartment", "ave.": "Avenue", "blvd.": "Boulevard", "rd.": "Road",
    "inc.": "Incorporated", "ltd.": "Limited", "ext.": "extension", "tel.": "telephone", "qty.": "quantity",
    "incl.": "including", "excl.": "excluding", "max.": "maximum", "avg.": "average", "asap": "as soon as possible",
    "w/o": "without", "w/": "with ", "faq": "F.A.Q.", "faqs": "F.A.Q.s",
}  # fmt: skip
_SYMBOLS: Final = {
    "&": " and ", "@": " at ", "=": " equals ", "~": " about ", "≈": " about ", "×": " by ", "→": " to ", "§": " section ",
    "±": " plus or minus ", "≤": " at most ", "≥": " at least ", "°": " degrees ", "©": " ", "®": " ", "™": " ", '"': "",
    "#": " number ", "<": " ", ">": " ", "[": ", ", "]": ",", "{": " ", "}": " ", "_": " ", "|": ", ", "€": " euros ",
    "£": " pounds ", "$": " dollars ", "%": " percent ", "/": " ", "\\": " ", "*": " ",
}  # fmt: skip


def _abbreviation(found: re.Match[str], style: Style) -> str:
    word = found.group()
    if word.isupper() and word.count(".") > 1:  # the letters of a code, already set apart
        return word
    spoken = _ABBREVIATIONS[word.lower()]
    ends = word.endswith(".") and re.match(r"\s*$|\s+[A-Z]", found.string[found.end() :])
    at_end = not found.string[found.end() :].strip()
    return spoken + ("." if ends and (at_end or word[0].islower()) else "")


def _street(found: re.Match[str], style: Style) -> str:
    return "Saint " if found.group(1) else "Street"


def _alternatives(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def _rule(pattern: str, make: Callable[[re.Match[str], Style], str], flags: int = re.IGNORECASE) -> Rule:
    return re.compile(pattern, flags), make


_KEYS: Final = (
    r"\b((?:(?:orders?|reference|ref\.?|tracking|ticket|invoice|account|confirmation|case|booking|serial|parcel|return|"
    r"model|code|PIN|passcode|phone|extension|ext\.?|flight|gate|room|zip)(?: (?:number|code|no\.?|id))?|number|no\.|#)"
    r"(?-i:(?: is\b| are\b|:)?)\s*#?\s*)"
)
_RULES: Final[tuple[Rule, ...]] = (
    _rule(r"[\w.+-]*\w@\w[\w-]*(?:\.\w[\w-]*)+", lambda found, _: _address(found.group())),
    _rule(r"(?:https?://(?:www\.)?|www\.)([\w-]+(?:\.[\w-]+)+)((?:[/?#][^\s]*)?)", _site),
    _rule(rf"(?<![\w@.])((?:[a-z][\w-]*\.)+(?:{_TLDS}))(?![\w@-])((?:/[^\s]*)?)", _site),
    _rule(rf"\b({_DAY})\.?{_DASH}({_DAY})\b", _weekdays),
    _rule(r"\b(\d{4})-(\d{2})-(\d{2})"
          r"(?:[T ](\d{2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?(?![\w-])", _iso_date),
    _rule(r"(?<![\w/.])(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\w/])", _slash_date),
    _rule(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?(?:{_DASH}(\d{{1,2}})(?:st|nd|rd|th)?)?\b(?!:|%|,\d{{3}}|\.\d)"
          r"(?:,? (\d{4})\b)?", _month_day),
    _rule(rf"\b(?:the )?(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})(?:,? (\d{{4}})\b|\b|(?<=\.))", _day_month),
    _rule(rf"\b({_MONTH}),? (\d{{4}})\b", _month_year),
    _rule(rf"\b(\d{{1,2}})(?::(\d{{2}}))?{_DASH}(\d{{1,2}}(?::\d{{2}})?\s?{_MERIDIEM})", _hours),
    _rule(rf"(?<=\d)((?::\d{{2}})\s?(?:{_MERIDIEM})?|\s?{_MERIDIEM}){_DASH}(?=\d)",
          lambda found, _: f"{found.group(1)} to "),
    _rule(rf"(?<![\d:.])(\d{{1,2}}):(\d{{2}})(?::\d{{2}})?(?:\s?{_MERIDIEM})?(?![\d:])", _clock),
    _rule(rf"(?<![\d:.,])(\d{{1,2}})\s?{_MERIDIEM}", _hour),
    _rule(r"(?<![\w.])\+?(?:\(\d{2,5}\)|\d{1,5})(?:[\s.-]\(?\d{2,5}\)?){1,4}(?![\w-]|[.,]\d)", _phone),
    _rule(rf"{_SIGN}{_AMOUNT}{_DASH}{_SIGN}?{_AMOUNT}", _money_range),
    _rule(rf"{_SIGN}({_NUMBER})\s?(k|mm?|bn?|thousand|million|billion)\b", _big_money),
    _rule(rf"(?<![\w])(-?){_SIGN}{_AMOUNT}", _money),
    _rule(rf"(?<![\w.,]){_AMOUNT}\s?(€|£|\$|USD|GBP|EUR|AUD|CAD|dollars?|euros?|pounds?)(?!\w)", _money_after),
    _rule(rf"{_KEYS}((?=[A-Z-]*\d)[A-Z]{{0,5}}-?\d[A-Z\d-]*(?<!-))(?![\w]|[.,:/]\d)", _keyed),
    _rule(r"\b(?=[A-Z\d-]*\d)(?=[A-Z\d-]*[A-Z])(?:[A-Z]{1,4}-?\d{2,}|[A-Z\d-]{6,})(?<!-)\b(?![.,]\d)",
          lambda found, _: _code(found.group()), 0),
    _rule(r"\b(?:ORD|INV|REF|RMA|TRK|SKU)\s\d{3,}\b", lambda found, _: _code(found.group()), 0),
    _rule(r"\b((?:19|20)\d0)s\b", lambda found, _: re.sub(r"y$", "ie", year_words(int(found.group(1)))) + "s"),
    _rule(r"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?|(?<=\d[-–])\d+)\s?(km/h|mph|%|ft|x)(?!\w)", _unit, 0),
    _rule(r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)\s?"
          rf"({_alternatives(_UNITS)})(?![\w'])", _unit, 0),
    _rule(r"(?<=\d)\s?%", lambda *_: " percent"),
    _rule(r"(?<![\w.,-])\d{5,}(?![\w%]|[.,]\d|-\d)", _long_number),
    _rule(r"(?<![\w.,-])(\d+(?:\.\d+)?)\s?[-–—]\s?(\d+(?:\.\d+)?)(?![\d-])", _range),
    _rule(r"\b(\d+)(?:st|nd|rd|th)\b", _ordinal),
    _rule(r"\b(in|since|until|till|by|from|of|before|after|year|summer|winter|spring|fall|autumn|early|late|mid|during)"
          r" ((?:19|20)\d{2})\b(?![-,.]?\d)", lambda found, _: f"{found.group(1)} {year_words(int(found.group(2)))}"),
    _rule(r"(?<![\w./])(\d{1,3})/(\d{1,3})(?![\w/])", _fraction),
    _rule(r"[½⅓⅔¼¾]", lambda found, _: f" {_FRACTION_SIGNS[found.group()]} "),
    _rule(r"(?<![\w.)])[-](?=\d)", lambda *_: "minus "),
    _rule(r"(?<=\d)k\b", lambda *_: " thousand", 0),
    _rule(r"(?<![\w])\+(?=\d)|(?<=\w)\s?\+\s?(?=\w)", lambda *_: " plus "),
    _rule(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*", _number),
    _rule(rf"(?<![\w.])(?:{_alternatives(_ABBREVIATIONS)})(?!\w)", _abbreviation),
    _rule(r"\bNo\.(?= (?:zero|one|two|three|four|five|six|seven|eight|nine))", lambda *_: "number", 0),
    _rule(r"\bSt\.( (?=[A-Z]))?", _street, 0),
    _rule(r"\band/or\b", lambda *_: "and or"),
    _rule(r"(?<=[^\W\d_])/(?=[^\W\d_])", lambda *_: " or "),
)  # fmt: skip


def english_words(text: str, style: Style) -> str:
    """Applies the rules; ``text`` is one line without markup."""
    for pattern, make in _RULES:
        text = pattern.sub(lambda found, make=make: make(found, style), text)  # type: ignore[misc]  # no type for a default
    for symbol, words in _SYMBOLS.items():
        text = text.replace(symbol, words)
    text = re.sub(r"\s*\(\s*|\s+[–—-]+\s+|\s*—\s*", ", ", text)
    text = re.sub(r"\s*\)\s*(?=[.,;:!?]|$)", "", text)
    text = re.sub(r"\s*\)\s*", ", ", text)
    text = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text.split()))
    text = re.sub(r",(?:\s*,)+", ",", text)
    text = re.sub(r"(?<=\.[A-Za-z])\.\.(?!\.)", ".", text)
    text = re.sub(r",\s*(?=[.;:!?])", "", text)
    return text.strip(" ,;:-–—")
