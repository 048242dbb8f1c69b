"""English number words, what callers say around them, calendars and money."""

from __future__ import annotations

from voice_agent.conversation.spoken_forms.language import Language, NumberWords, SecretWords

UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINAL_UNITS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
ORDINAL_TEENS = (
    "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
)  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _ordinal_of_tens(word: str) -> str:
    return word[:-1] + "ieth"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NUMBERS = NumberWords(
    digits={word: value for value, word in enumerate(UNITS)}
    | {"oh": 0, "o": 0, "nought": 0, "naught": 0, "ought": 0, "nil": 0, "null": 0, "zeros": 0, "niner": 9},
    zero_letters=_words("oh o ought nil null"),
    teens={word: value for value, word in enumerate(TEENS, 10)},
    tens={word: value * 10 for value, word in enumerate(TENS, 2)} | {"fourty": 40, "ninty": 90},
    hundred=_words("hundred hundreds"),
    scales={"thousand": 1_000, "thousands": 1_000, "million": 1_000_000, "billion": 1_000_000_000},
    joiner=_words("and"),
    repeats={"double": 2, "triple": 3, "treble": 3, "quadruple": 4},
    plural_digits={
        "zeros": 0, "zeroes": 0, "ohs": 0, "ones": 1, "twos": 2, "threes": 3, "fours": 4, "fives": 5, "sixes": 6,
        "sevens": 7, "eights": 8, "nines": 9,
    },
    homophones={
        "for": 4, "fore": 4, "to": 2, "too": 2, "tu": 2, "won": 1, "wun": 1, "ate": 8, "tree": 3, "free": 3, "fife": 5,
        "sicks": 6, "sex": 6, "nein": 9,
    },
    ordinals={word: value for value, word in enumerate(ORDINAL_UNITS) if value}
    | {word: value for value, word in enumerate(ORDINAL_TEENS, 10)}
    | {_ordinal_of_tens(word): value * 10 for value, word in enumerate(TENS, 2)},
)  # fmt: skip

SECRETS = SecretWords(
    fillers=_words(
        "um umm uh uhh er err erm ah eh hmm hm mm mhm like then and a followed by dash hyphen minus dot point comma "
        "slash space period again okay ok so yeah yes please thats"
    ),
    introductions=_words(
        "my the pin pins pincode passcode password code number digits digit is its it's it was are be that that's this "
        "here heres here's last first second third fourth next final i i'm im me security secret personal account with "
        "i'd let's see ends ending starts starting begins on well sure alright right hi hello think believe"
    ),
    corrections=_words(
        "no nope nah sorry wait actually rather correction wrong mistake scratch mean meant oops whoops instead pardon "
        "apologies"
    ),
    retractions=_words("no nope nah wait wrong mistake scratch correction"),
    counted=_words(
        "moment moments second seconds sec secs minute minutes min mins hour hours day days week weeks weekend month "
        "months year years time times order orders item items thing things parcel parcels package packages people "
        "person persons dollar dollars buck bucks pound pounds euro euros cent cents pence quid percent % o'clock am "
        "pm more of question questions other others pair pairs shirts boots pieces piece box boxes bit star stars or "
        "business else"
    ),
    ranges=_words("to or - –"),
    not_digit_after=_words(
        "no any some every which this that the each another a new only last first wrong right other same better big "
        "small older newer blue red black white green have got want need not"
    ),
    small_quantity=_words("one"),
)

ENGLISH = Language(code="en", numbers=NUMBERS, secrets=SECRETS)
