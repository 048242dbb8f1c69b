"""What the agent's last words ask of the caller, read from the words themselves, whatever language model wrote them.

Rules, applied to the last three sentences from the end:

1. A sentence that asks for something with a shape (a PIN, an order or telephone number, an e-mail or postal address, a
   date) opens that question, whether it ends in a question mark ("What's the order number?") or not ("Please tell me
   your PIN.").
2. A question that begins like one to be answered by yes or no, or ends in "right?", opens YES_NO, unless it offers a
   choice ("this one or that one?") or is a request to speak ("could you say it again?").
3. Any other question is OPEN.
4. A statement asks nothing and is looked past: "What's the order number? It's in your confirmation e-mail." still asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from voice_agent.models import OpenQuestion

_LOOK_BACK_SENTENCES = 3
_SENTENCE = re.compile(r"[^.!?؟…]+(?:\.(?=\S)[^.!?؟…]+)*[.!?؟…]*")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'"})


@dataclass(frozen=True, slots=True)
class _Language:
    """``asking``: words by which a sentence asks for a thing; ``shapes``: the things, most telling first; ``yes_no``:
    how a yes/no question begins or ends; ``request``: how a request to speak begins; ``choice``: the word between
    alternatives."""

    asking: re.Pattern[str]
    shapes: tuple[tuple[re.Pattern[str], OpenQuestion], ...]
    yes_no: re.Pattern[str]
    request: re.Pattern[str]
    choice: re.Pattern[str]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")


_LEAD_EN = r"(?:(?:so|and|okay|ok|great|sorry|thanks|thank you|all right|alright|well|sure|no problem|by the way),? )*"

_LANGUAGES: Mapping[str, _Language] = {
    "en": _Language(
        asking=_words(
            r"what(?:'s| is| was| are)?|which|when|please|can you|could you|would you|can i have|could i have|"
            r"may i have|may i ask|could i get|can i get|tell me|give me|say|spell|repeat|read|enter|"
            r"key in|type|provide|i need|i'll need|i will need|i just need|do you have|do you know|let me know"
        ),
        shapes=(
            (_words(r"pins?|pin code|pass ?code|security code"), OpenQuestion.PIN),
            (_words(r"e-?mail(?: address)?"), OpenQuestion.EMAIL),
            (
                _words(
                    r"(?:order|tracking|reference|confirmation) (?:number|id|code)|number of (?:the|your) order|"
                    r"which (?:one|order) (?:would|do) you"
                ),
                OpenQuestion.ORDER_NUMBER,
            ),
            (
                _words(r"(?:tele)?phone number|mobile number|cell(?:phone)? number|number to call|callback number"),
                OpenQuestion.PHONE,
            ),
            (
                _words(r"(?:postal|home|street|shipping|delivery|billing|new|your|the|full|current) address"),
                OpenQuestion.ADDRESS,
            ),
            (_words(r"date|what day|which day|day of birth|birthday"), OpenQuestion.DATE),
        ),
        yes_no=re.compile(
            rf"{_LEAD_EN}(?:is|are|was|were|do|does|did|have|has|can|could|would|will|shall|should|may|am|isn't|aren't|"
            r"don't|doesn't|didn't|haven't|won't|wouldn't|anything|ready|still)\b|"
            r".*\b(?:right|correct|okay|ok|isn't it|is that so)\?$"
        ),
        request=re.compile(
            rf"{_LEAD_EN}(?:can|could|would|will) you (?:please )?(?:say|repeat|tell|give|rephrase|spell|describe|"
            r"explain|speak|try|let me know|put that)\b"
        ),
        choice=_words(r"or"),
    ),
    "es": _Language(
        asking=_words(
            r"cuál|qué|cuándo|por favor|puede|podría|dígame|dime|diga|indique|necesito|introduzca|deme|deletree"
        ),
        shapes=(
            (_words(r"pin|código (?:secreto|de seguridad)"), OpenQuestion.PIN),
            (_words(r"correo(?: electrónico)?|e-?mail"), OpenQuestion.EMAIL),
            (_words(r"número de (?:su |tu )?(?:pedido|orden|referencia|seguimiento)"), OpenQuestion.ORDER_NUMBER),
            (_words(r"número de (?:su |tu )?(?:teléfono|móvil|celular)|teléfono"), OpenQuestion.PHONE),
            (_words(r"dirección(?: postal| de entrega| de envío)?"), OpenQuestion.ADDRESS),
            (_words(r"fecha|qué día"), OpenQuestion.DATE),
        ),
        yes_no=re.compile(
            r"(?:quiere|desea|le gustaría|necesita|puedo|podría|puede|tiene|es|está|sigue|hay|ha|le ayudo|prefiere)\b"
        ),
        request=re.compile(r"(?:puede|podría) (?:repetir|decir|explicar|describir|intentar)"),
        choice=_words(r"o"),
    ),
    "fr": _Language(
        asking=_words(
            r"quel(?:le)?|quand|s'il vous plaît|pouvez-vous|pourriez-vous|puis-je avoir|dites|donnez|indiquez|"
            r"saisissez|j'ai besoin|épelez|composez"
        ),
        shapes=(
            (_words(r"code (?:pin|secret|confidentiel)|pin"), OpenQuestion.PIN),
            (_words(r"e-?mail|courriel|adresse électronique"), OpenQuestion.EMAIL),
            (_words(r"numéro de (?:votre )?(?:commande|suivi|référence)"), OpenQuestion.ORDER_NUMBER),
            (_words(r"numéro de (?:votre )?(?:téléphone|portable|mobile)"), OpenQuestion.PHONE),
            (_words(r"adresse(?: postale| de livraison)?"), OpenQuestion.ADDRESS),
            (_words(r"date|quel jour"), OpenQuestion.DATE),
        ),
        yes_no=re.compile(
            r"(?:est-ce que|voulez-vous|souhaitez-vous|désirez-vous|avez-vous|puis-je|pouvez-vous|êtes-vous|y a-t-il|"
            r"dois-je|préférez-vous|vous êtes|c'est)\b"
        ),
        request=re.compile(r"(?:pouvez|pourriez)-vous (?:répéter|me dire|dire|expliquer|décrire|essayer|reformuler)"),
        choice=_words(r"ou"),
    ),
    "ar": _Language(
        asking=_words(r"ما|ماهو|متى|من فضلك|هل يمكنك|أخبرني|أعطني|أدخل|أحتاج|قل|اذكر"),
        shapes=(
            (_words(r"(?:ال)?رقم السري|رمزك? السري|(?:ال)?رمز السري|رقمك السري"), OpenQuestion.PIN),
            (_words(r"(?:ال)?بريد(?:ك)? الإلكتروني"), OpenQuestion.EMAIL),
            (_words(r"رقم (?:ال)?طلب(?:ك)?|رقم التتبع"), OpenQuestion.ORDER_NUMBER),
            (_words(r"رقم (?:ال)?(?:هاتف|جوال|موبايل)(?:ك)?"), OpenQuestion.PHONE),
            (_words(r"(?:ال)?عنوان(?:ك)?"), OpenQuestion.ADDRESS),
            (_words(r"(?:ال)?تاريخ|أي يوم"), OpenQuestion.DATE),
        ),
        yes_no=re.compile(r"(?:هل|أتريد|أترغب)(?!\w)"),
        request=re.compile(r"هل يمكنك (?:أن )?(?:تكرار|إعادة|تعيد|تكرر|قول|شرح|وصف)"),
        choice=_words(r"أو|أم"),
    ),
}
_NO_WORDS = re.compile(r"(?!)")
_UNKNOWN = _Language(_NO_WORDS, (), _NO_WORDS, _NO_WORDS, _NO_WORDS)


def open_question(agent_text: str, locale: str) -> OpenQuestion:
    """What ``agent_text`` leaves the caller to answer; ``locale`` is a tag such as "en-US" (of an unknown language only
    the question mark is read)."""
    language = _LANGUAGES.get(locale.partition("-")[0].lower(), _UNKNOWN)
    sentences = _SENTENCE.findall(agent_text.translate(_APOSTROPHES).lower())
    for sentence in reversed(sentences[-_LOOK_BACK_SENTENCES:]):
        asked = _asked(sentence.strip(), language)
        if asked is not OpenQuestion.NONE:
            return asked
    return OpenQuestion.NONE


def _asked(sentence: str, language: _Language) -> OpenQuestion:
    is_question = sentence.endswith(("?", "؟"))
    body = sentence.lstrip("¿¡ ")
    yes_no = is_question and language.yes_no.match(body) is not None
    asking = language.asking.search(body)
    if asking is not None:
        # The thing must come after the words that ask for it: "I found the PIN letter, can you wait?" asks for nothing.
        for thing, question in language.shapes:
            if thing.search(body, asking.start()) and not _offers(body, yes_no, asking.start()):
                return question
    if yes_no:
        shapeless = language.choice.search(body) or language.request.match(body)
        return OpenQuestion.OPEN if shapeless else OpenQuestion.YES_NO
    return OpenQuestion.OPEN if is_question else OpenQuestion.NONE


_OFFER = re.compile(
    r"^\W*(?:would you like|do you want|shall i|should i|may i (?!have|ask)|can i (?!have|get)|is |are |was |did |"
    r"does |quiere|desea|le gustaría|puedo|voulez-vous|souhaitez-vous|est-ce|puis-je (?!avoir)|هل تريد|هل ترغب)"
)


def _offers(body: str, yes_no: bool, asked_at: int) -> bool:
    """A yes/no question that only mentions the thing: "Shall I send it to your e-mail address?" """
    return yes_no and _OFFER.match(body) is not None and "tell me" not in body[asked_at:]
