"""What the words beside a number say that it is: "my pin is …", "… is my pin", "order number …", "seguimiento …".

From the number the words are read backwards (or forwards), past those that say nothing ("number", "is", "my"), up to the
first that does. Sets of words instead of patterns: four languages stay readable, and no text can make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from voice_agent.observability.pii.kinds import PLACEHOLDER
from voice_agent.observability.pii.number_words import spellings


class Label(Enum):
    """What a number is said to be."""

    PIN = "pin"
    CVV = "cvv"
    CARD = "card"
    SSN = "ssn"
    PHONE = "phone"
    CODE = "code"  # orders, parcels, articles: no personal data
    ACCOUNT = "account"  # of a customer or citizen: personal, and no phone number whatever its length
    SIZES = "sizes"  # sizes and quantities, several in a row


def _words(text: str) -> frozenset[str]:
    return frozenset(spelling for word in text.split() for spelling in spellings(word))


_LABELS: dict[Label, frozenset[str]] = {
    Label.PIN: _words(
        "pin pins pin's passcode passcodes password passwords clave contraseña nip رمزي رمز الرمز pincode otp"
    ),
    Label.CVV: _words("cvv cvv2 cvc cvc2 csc cryptogramme criptograma"),
    Label.SSN: _words("ssn social sociale nss الضمان الاجتماعي"),
    Label.PHONE: _words(
        "phone mobile cell cellphone telephone tel call reach ring whatsapp fax móvil movil celular teléfono portable "
        "téléphone llámame llámeme llamarme appelez appeler joindre هاتفي هاتف الهاتف جوالي جوال الجوال موبايلي موبايل "
        "تليفوني واتساب"
    ),
    Label.CODE: _words(
        "order orders ref réf invoice invoices ticket tickets reference references parcel parcels package tracking shipment "
        "shipments case cases confirmation article item items sku isbn ean barcode model serial product return returns "
        "waybill consignment ups fedex usps dhl dpd gls evri hermes ontrac "
        "pedido pedidos orden órdenes factura facturas referencia referencias seguimiento rastreo paquete envío "
        "artículo producto modelo serie devolución incidencia guía seur mrw correos localizador "
        "commande commandes facture factures référence références suivi colis article produit modèle série retour "
        "dossier chronopost colissimo mondial expédition envoi "
        "الطلب طلبي طلب طلبية الطلبية طلبيتي الفاتورة فاتورة المرجع مرجع التتبع تتبع الشحنة شحنة شحنتي الطرد طرد البوليصة "
        "بوليصة المنتج الإرجاع التذكرة أرامكس سمسا"
    ),
    Label.ACCOUNT: _words(
        "account accounts customer client member membership passport license bank iban cuenta cliente "
        "socio dni nie nif pasaporte bancaria compte bancaire "
        "abonné passeport الحساب حساب حسابي العميل عميل الهوية هوية الإقامة "
        "إقامة الجواز"
    ),
    Label.SIZES: _words(
        "size sizes quantity quantities talla tallas cantidad cantidades taille tailles pointure pointures quantité "
        "quantités مقاس مقاسات المقاس المقاسات الكمية كمية"
    ),
}
_LABEL_OF = {word: label for label, words in _LABELS.items() for word in words}
LABEL_WORDS = frozenset(_LABEL_OF)

# Words that say it only together with another one ("security code", "mot de passe", "الرقم السري").
_CODES = _words("code number código codigo codes clave")
_TOGETHER: dict[str, tuple[Label, frozenset[str]]] = {
    **dict.fromkeys(
        _words(
            "secret security access verification confidentiel secreto seguridad verificación "
            "vérification acceso sécurité accès"
        ),
        (Label.PIN, _CODES),
    ),
    "time": (Label.PIN, _words("code password passcode")),
    "pass": (Label.PIN, _words("code word")),
    "passe": (Label.PIN, _words("mot code")),
    **dict.fromkeys(
        _words("السري السر المرور سري"),
        (Label.PIN, _words("الرقم الرمز رقمي رقم رمز رمزي كلمة كود الكود والرقم والرمز")),
    ),
    **dict.fromkeys(_words("التحقق الأمان"), (Label.PIN, _words("رمز كود الرمز رقم"))),
}
_SAYS_NOTHING = _words(
    "code codes number numbers no nr num id ids digit digits is was it's its it should be would my the to are that's that "
    "equals um uh er and of this these new actual "
    "código codigo número números dígitos cifras es eran era son el la los las mi mis su de del y eh nuevo nueva "
    "numéro numéros chiffres est était sont le les mon ma mes c'est du et euh nouveau "
    "هو هي رقم الرقم رقمي أرقام كود الكود كلمة الجديد"
)
# Between a PIN and its digits the thing may stand that it belongs to.
_BELONGS = _words(
    "for on my back card account tarjeta cuenta para en carte compte pour sur بطاقتي حسابي لبطاقتي لحسابي الخاص بي"
)
_CARDS = _words("card cards visa mastercard amex maestro tarjeta carte بطاقتي لبطاقتي بطاقة")
_COPULAS = _words("is was are es era son est était sont هو هي هذا")
_OWNED = _words("my the our your mi la el mon ma le un رقمي رمزي الرقم الرمز")

_NUMBER = _words("number número numéro رقمي")
_MINE = _words("my our mi mon")
_MY_NUMBER = _words("رقمي")
_CARD_NAMES = _CARDS | _LABELS[Label.CVV] | {"security"}

_WORD = re.compile(PLACEHOLDER.pattern + r"|cv[vc]2|\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")
# What people say for "CVV" who do not know that it is called so.
_ON_THE_BACK = (
    r"(?:digits?|numbers?|code) (?:are |is )?(?:on|at) the (?:back|rear)(?: of (?:it|(?:the|my) card))?|"
    r"(?:dígitos|números|cifras) (?:de atrás|del reverso)|(?:chiffres|numéros) (?:au dos|derrière)"
)
# Other things have a back too ("a label on the back, it says …"): this counts where a card is spoken of.
_THERE = r"on the back(?: of (?:it|(?:the|my) card))?,? (?:it|there)(?:'s| is| says)"
_SPELLED = re.compile(
    rf"\b(?:(p)[. ]{{1,2}}i[. ]{{1,2}}n|(c)[. ]{{0,2}}v[. ]{{0,2}}[vc]|(s)[. ]{{1,2}}s[. ]{{1,2}}n|"
    rf"({_ON_THE_BACK})|({_THERE}))\b"
)
_CONTEXT_CHARS = 72  # how far a word may stand that says what a number is
_CARD_CHARS = 200  # how far the name of a card whose back is spoken of
_CONTEXT_WORDS = 12
_AFTER_WORDS = 7
# A full stop between a label and a number divides them, unless it shortens "number".
_SENTENCE_END = re.compile(r"(?<!\bno)(?<!\bref)(?<!\bréf)(?<!\bnr)(?<!\bnum)(?<!\bnúm)[.!?؟]\s|\n")
_SECRET_HINTS = frozenset(
    word for word, label in _LABEL_OF.items() if label in (Label.PIN, Label.CVV, Label.SSN)
) | frozenset(_TOGETHER)
_SPELLED_HINTS = tuple(
    frozenset(words.split())
    for words in ("p i n", "c v", "c vv", "c vc", "cv", "s n", "back", "rear", "atrás", "reverso", "au dos", "derrière")
)
_SPELLED_KEYS = frozenset("p v vv vc cv s back rear atrás reverso dos derrière".split())  # one of each hint


def may_hold_secrets(words: frozenset[str]) -> bool:
    """``words`` are those of a text, in lower case. Where this is false, no number of fewer than seven digits in it is
    personal data."""
    return not words.isdisjoint(_SECRET_HINTS) or may_spell_secrets(words)


def may_spell_secrets(words: frozenset[str]) -> bool:
    """Whether a secret may be named in letters or by its place ("p. i. n.", "on the back") in a text of these words."""
    return not words.isdisjoint(_SPELLED_KEYS) and any(words >= letters for letters in _SPELLED_HINTS)


def label_before(text: str, start: int, *, spelled: bool = True, card_named: bool = False) -> Label | None:
    """What the words right before ``start`` call the number that begins there. ``spelled``: see ``may_spell_secrets``.
    ``card_named``: somebody spoke of a card just before ``text``."""
    begin = max(0, start - _CONTEXT_CHARS)
    context = text[begin:start].lower()
    if spelled:
        context = _spelled_joined(context, lambda: card_named or _names_card(text, start))
    words = _WORD.findall(context)
    if begin and words:
        del words[0]  # may be the end of a longer word
    label, place = _first_label(words[: -_CONTEXT_WORDS - 1 : -1])
    if label in (Label.CODE, Label.SIZES):
        named = [match.end() for match in _WORD.finditer(context)][-1 - place]
        if _SENTENCE_END.search(context, named):
            return None
    return label


def label_after(text: str, end: int, *, spelled: bool = True) -> Label | None:
    """What the words right behind ``end`` call the number that ends there ("… is my pin"). Of PINs, cards and their codes
    only."""
    context = text[end : end + _CONTEXT_CHARS].lower()
    if spelled:
        context = _spelled_joined(context, lambda: _names_card(text, end))
    first = _WORD.search(context)
    if first is None or not (first[0] in _COPULAS or first[0] in ("s", "that")):
        return None
    words = _WORD.findall(context, first.start())[:_AFTER_WORDS]
    if words[:1] == ["that"]:
        words = words[1:]
    if len(words) < 2 or (words[0] not in _COPULAS and words[0] != "s") or words[1] not in _OWNED:
        return None
    label, _ = _first_label(words[1:], seen_before=False)
    return label if label in (Label.PIN, Label.CVV, Label.CARD) else None


def phone_mentioned(text: str, start: int) -> bool:
    """Whether the words somewhat before ``start`` speak of telephones, in whatever order."""
    context = text[max(0, start - _CONTEXT_CHARS) : start].lower()
    return any(_LABEL_OF.get(word) is Label.PHONE or word in _NUMBER for word in _WORD.findall(context))


def own_number_said(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` is called somebody's own number, "my number is …" or "… is my number": one to call, even
    where a card is named before it."""
    before = _WORD.findall(text[max(0, start - _CONTEXT_CHARS) : start].lower())
    while before and before[-1] in _COPULAS:
        before.pop()
    behind = _WORD.findall(text[end : end + _CONTEXT_CHARS].lower())
    return _is_own_number(before[-2:]) or (bool(behind) and behind[0] in _COPULAS and _is_own_number(behind[1:3]))


def _is_own_number(words: list[str]) -> bool:
    if words and words[-1] in _MY_NUMBER:
        return True
    return len(words) == 2 and words[0] in _MINE and words[1] in _NUMBER


def _names_card(text: str, start: int) -> bool:
    """Whether the words somewhat before ``start`` name a card or its code; the placeholder of one is such a name."""
    return not _CARD_NAMES.isdisjoint(_WORD.findall(text[max(0, start - _CARD_CHARS) : start].lower()))


def _spelled_joined(text: str, card_named: Callable[[], bool]) -> str:
    """ "p. i. n." as "pin", "the digits on the back" as "the cvv"; "on the back it says" where a card is named."""

    def joined(m: re.Match[str]) -> str:
        if m[5] and not card_named():
            return m[0]
        return "pin" if m[1] else "ssn" if m[3] else "cvv"

    return _SPELLED.sub(joined, text)


def _first_label(words: list[str], *, seen_before: bool = True) -> tuple[Label | None, int]:
    """The first label in ``words`` (nearest to the number first) and its place; nothing where another word comes first."""
    passed: list[str] = []
    belongs = card = False
    for place, word in enumerate(words):
        label = _LABEL_OF.get(word) or _LABEL_OF.get(word.rpartition("'")[2])  # "l'article"
        if label is None and word in _TOGETHER:
            kind, companions = _TOGETHER[word]
            if "social" in words[place + 1 : place + 2]:
                return Label.SSN, place
            around = (*passed, *words[place + 1 : place + 3])
            label = kind if any(other in companions for other in around) else None
        if label is not None and (not belongs or label in (Label.PIN, Label.CVV, Label.SSN)):
            return label, place
        card = card or word in _CARDS
        if word in _CARDS or (word in _BELONGS and word not in _SAYS_NOTHING and (seen_before or passed)):
            belongs = True
        elif word not in _SAYS_NOTHING and word not in _TOGETHER:
            return Label.CARD if card else None, place
        passed.append(word)
    return Label.CARD if card else None, 0
