"""Postal addresses that are said to be one, in English, Spanish, French and Arabic.

An address begins behind words like "my address is" or "I live at", or with a house number and a street, and goes on to the
end of its clause. It must hold something that addresses have: "my address is wrong" is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voice_agent.observability.pii.kinds import PLACEHOLDER
from voice_agent.observability.pii.number_words import NUMBER_WORD_SET

_STREETS_EN = (
    "street avenue ave road rd boulevard blvd lane ln drive dr court ct place square terrace crescent gardens parkway "
    "highway close way row mews st apartment apt suite flat"
)
_STREETS_ES = (
    "calle c/ avenida avda av plaza paseo carrera camino ronda glorieta callejón travesía urbanización carretera"
)
_STREETS_FR = (
    "rue avenue av boulevard bd place allée allées chemin impasse quai route cours passage square faubourg résidence"
)
_STREETS_AR = "شارع طريق حي ميدان زقاق عمارة مبنى شقة فيلا"
_BOXES = "p.o. po apartado ص.ب صندوق"
STREETS = frozenset(f"{_STREETS_EN} {_STREETS_ES} {_STREETS_FR} {_STREETS_AR}".split())

_BE = (
    r"(?:\s*[:=]\s*|[\"']\s*:\s*[\"']?"
    r"|\s+(?:is|es|est|will be|would be|should be|now|ahora|actual|هو|هي|الجديد|c'est)\b,?)"
)
# "My address is", and the like: whatever has an address' form may follow.
_STRONG = re.compile(
    r"(?:\b(?:address(?!es)|dirección|direccion|domicilio|adresse)|عنواني|العنوان|عنوان المنزل|عنوان التوصيل|عنوان السكن)"
    r"(?:\s+(?:on file|for delivery|for billing|de envío|de entrega|de facturación|de casa|postal|nueva|exacta|de livraison|"
    r"de facturation|postale|exacte|complète|الكامل|البريدي|الجديد))?"
    rf"(?P<is>{_BE}){{0,3}}\s*(?:at\s+|to\s+|en\s+(?:la\s+)?|la\s+|el\s+|au\s+|le\s+|à\s+|في\s+)?",
    re.IGNORECASE,
)
# "I live at": a number and a street must follow.
_WEAK = re.compile(
    r"(?:\b(?:(?:live|lives|living|reside|based)\s+(?:at|on|in)|(?:ship|shipped|deliver|delivered|send|sent|mail|bring|moved?|"
    r"change)\s+(?:it\s+|them\s+|this\s+|that\s+|my\s+\w+\s+|the\s+\w+\s+)?to|address\s+to|vivo\s+en|vivimos\s+en|"
    r"(?:env[ií]e|env[ií]a|entregue|entrega|mande|manda)(?:n|r)?(?:lo|la|los|las|me|melo)?\s+(?:el\s+\w+\s+)?(?:a|en)|"
    r"(?:me\s+)?mud(?:é|ado)\s+a|(?:j'habite|habitons|habite)(?:\s+(?:au|à|dans|sur))?|(?:livr|envoy|expédi)(?:ez|er)"
    r"(?:-(?:le|la|les|moi))*(?:\s+(?:le|la|mon)\s+\w+)?\s+(?:au|à)|domiciliée?\s+(?:au|à))"
    r"|(?:أسكن|اسكن|أعيش|اعيش|نسكن|ساكن|مقيم|التوصيل|أرسلوه|ارسلوه|وصلوه|وصلوها|أرسلوها)\s+(?:في|إلى|الى|على))"
    r"\s+(?:the\s+|la\s+|el\s+)?",
    re.IGNORECASE,
)
# A house number and a street, or a street and a house number, need no words before them.
_SHAPE = re.compile(
    r"(?<![\w-])\d{1,5}[A-Za-z]?,? (?:[NSEW]\.? )?(?:[A-Z][\w'’.-]{1,20} ){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Terrace|Crescent|Parkway)\b"
    r"|(?<![\w-])\d{1,4}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|allée|impasse|chemin|quai|place|[Rr]ue) "
    r"(?:(?:de|du|des|la|le|l'|d')[ ]?){0,3}[A-ZÀ-Ý]"
    r"|\b(?:[Cc]alle|[Aa]venida|[Aa]vda\.?|[Pp]laza|[Pp]aseo|C/) ?(?:(?:de|del|la|las|los|el) ){0,3}"
    r"(?:[A-ZÀ-Ý][\w'-]{1,20}[ ,]{1,2}){1,4}(?:número |núm\. ?|n[.º] ?)?\d{1,4}\b"
    r"|شارع (?:[^\W\d_]{2,15} ){1,4}(?:رقم )?\d{1,4}",
)
_NOT_AFTER_ABBREVIATION = "".join(
    rf"(?<!\b{short})"
    for short in ("St", "Ave", "Av", "Rd", "Dr", "Ln", "Blvd", "Apt", "No", "Ste", "Avda", "Bd", "P", "O", "n")
)
_CLAUSE_END = re.compile(
    rf"[!?;؟\n\"{{}}<>|]|{_NOT_AFTER_ABBREVIATION}\.(?=\s|\Z)|{PLACEHOLDER.pattern}"
    r"|[,،]?\s+-\s|[,،]?\s(?:please|thanks|thank you|and|but|because|so|if|can|could|would|is|was|are|has|have|my|i|i'm|"
    r"i've|it's|order|phone|email|e-mail|tel|not|instead|by|before|on|from|since|until|with|which|that|where|when|what|okay|ok|"
    r"for|to|today|tomorrow|this|pero|porque|por favor|gracias|mi|no|puede|puedo|es|está|hasta|desde|para|antes|mañana|et|"
    r"mais|parce|s'il|merci|mon|ma|est|pouvez|pour|avant|depuis|demain|vale|و?من فضلك|لو سمحت|شكرا|شكراً|ولكن|لكن|هل|قبل|"
    r"يوم|غدا|منذ|ورقم|ورقمي|وهاتفي|وبريدي|وأريد|بدل)(?![\w'’])",
    re.IGNORECASE,
)
_NAMED_HOUSE = re.compile(r"[A-ZÀ-Ý][\w'-]+(?: [\w'.-]+){0,3},? \d")
_ARABIC = "عا"  # where no "is" stands between the word and the address
_REACH_CHARS = 140
_WORD = re.compile(r"c/|p\.o\.|ص\.ب|\d+|[^\W\d_]+", re.IGNORECASE)
_FIRST_WORDS = 3  # a street first: "the", its kind, its name
_BOX_WORDS = frozenset(_BOXES.split())
_NO_HOUSE = frozenset(
    "days day hours hours minutes minute weeks week months years times orders items people días horas minutos semanas meses "
    "años jours heures minutes semaines mois ans أيام ساعات دقائق أسابيع أشهر سنوات".split()
)
_STRONG_HINTS = frozenset("address dirección direccion domicilio adresse عنواني العنوان عنوان".split())
_WEAK_HINTS = frozenset(
    "live lives living reside based ship shipped deliver delivered send sent mail bring move moved change address "
    "vivo vivimos mudé mudado habite habitons أسكن اسكن أعيش اعيش نسكن ساكن مقيم التوصيل أرسلوه ارسلوه وصلوه وصلوها أرسلوها "
    "livrez livrer envoyez envoyer expédiez expédier domicilié domiciliée".split()
)
_WEAK_HINT = re.compile(r"env[ií]|entreg|mand")
ADDRESS_HINTS = STREETS | _STRONG_HINTS


def find_addresses(text: str, hints: frozenset[str], *, written: bool) -> Iterator[tuple[int, int, str]]:
    """Start, end and plain form of every address. ``hints`` are the words of ``text`` in lower case; ``written`` says
    whether there are digits in it."""
    past = 0
    starts: list[tuple[int, bool | None]] = []
    if not hints.isdisjoint(_STRONG_HINTS):
        for match in _STRONG.finditer(text):
            starts.append((match.end(), match["is"] is not None or match.group()[0] in _ARABIC))
    streets = not hints.isdisjoint(STREETS)
    if streets and (not hints.isdisjoint(_WEAK_HINTS) or any(map(_WEAK_HINT.match, hints))):
        starts += [(match.end(), False) for match in _WEAK.finditer(text)]
    if streets and written:
        starts += [(match.start(), None) for match in _SHAPE.finditer(text)]
    for start, strong in sorted(starts, key=lambda item: item[0]):
        if start < past:
            continue
        end = _clause_end(text, start)
        words = [word.lower() for word in _WORD.findall(text[start:end])]
        if strong is None or _is_address(words, strong=strong) or (strong and _NAMED_HOUSE.match(text, start, end)):
            past = end
            yield start, end, " ".join(words)


def _clause_end(text: str, start: int) -> int:
    reach = min(len(text), start + _REACH_CHARS)
    stop = _CLAUSE_END.search(text, start, reach)
    end = stop.start() if stop else reach
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return end


def _is_address(words: list[str], *, strong: bool) -> bool:
    if not words:
        return False
    numbered = any(word.isdecimal() or word in NUMBER_WORD_SET for word in words)
    street = not STREETS.isdisjoint(words)
    if not _BOX_WORDS.isdisjoint(words[:2]) and numbered:
        return True
    if not strong:
        return numbered and street
    house_first = (words[0].isdecimal() or words[0] in NUMBER_WORD_SET) and len(words) > 1 and words[1] not in _NO_HOUSE
    return (numbered and street) or house_first or (len(words) > 1 and words[0] in STREETS)
