"""What the agent's words leave open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.questions import open_question
from voice_agent.models import OpenQuestion

ENGLISH = {
    OpenQuestion.PIN: [
        "Please tell me your four digit PIN, or key it in.",
        "I need your four digit PIN first. You can say it or key it in, or ask for a colleague.",
        "Please say all 4 digits of your PIN.",
        "What's your PIN?",
    ],
    OpenQuestion.ORDER_NUMBER: [
        "What's the order number?",
        "What’s the order number?",
        "What is the order number? It's in your confirmation e-mail.",
        "Do you have your order number?",
        "I can't find that order. Could you say the order number again?",
        "I can't find it. Could you say the order number once more, or shall I list your orders?",
        "Please read me the number of your order.",
        "Which one would you like to know about?",
    ],
    OpenQuestion.EMAIL: ["Could you give me your e-mail address, please?", "What is your email?"],
    OpenQuestion.PHONE: ["What's your phone number?", "Please tell me a mobile number. I'll note it down."],
    OpenQuestion.ADDRESS: ["What is your new delivery address?", "Please give me the full address with the postcode."],
    OpenQuestion.DATE: ["What date did you place it?", "On which day did you buy it?"],
    OpenQuestion.YES_NO: [
        "Are you still there?",
        "Would you like me to connect you with a person?",
        "Is there anything else I can help you with?",
        "Your order is on its way. Is there anything else?",
        "Should I send it to your e-mail address?",
        "Would you like me to read the order number?",
        "So that's order 83102, right?",
        "Okay, shall I go on?",
        "Anything else?",
    ],
    OpenQuestion.OPEN: [
        "How can I help you?",
        "Could you say it again?",
        "Which one?",
        "Do you mean order 83102 or 83150?",
        "Sorry, could you put that another way?",
        "What happened?",
    ],
    OpenQuestion.NONE: [
        "",
        "...",
        "Your order is on its way.",
        "Your PIN is safe with us.",
        "Thank you, that's right.",
        "Your order number 83102 has shipped.",
        "It costs $4.50 and arrives on November 24.",
        "How nice. It is on its way. It should arrive tomorrow. You have nothing to do.",
    ],
}

OTHERS = [
    ("es-ES", "¿Cuál es el número de pedido?", OpenQuestion.ORDER_NUMBER),
    ("es-ES", "¿Desea hablar con una persona?", OpenQuestion.YES_NO),
    ("es-ES", "Por favor, dígame su PIN.", OpenQuestion.PIN),
    ("es-ES", "¿Cuál es su número de teléfono?", OpenQuestion.PHONE),
    ("fr-FR", "Quel est votre numéro de téléphone ?", OpenQuestion.PHONE),
    ("fr-FR", "Donnez-moi votre adresse de livraison.", OpenQuestion.ADDRESS),
    ("ar-SA", "ما هو رقم هاتفك؟", OpenQuestion.PHONE),
    ("es-ES", "¿Podría repetirlo?", OpenQuestion.OPEN),
    ("es-ES", "Su pedido está en camino.", OpenQuestion.NONE),
    ("fr-FR", "Pouvez-vous me donner votre numéro de commande ?", OpenQuestion.ORDER_NUMBER),
    ("fr-FR", "Voulez-vous parler à un conseiller ?", OpenQuestion.YES_NO),
    ("fr-FR", "Indiquez votre code PIN.", OpenQuestion.PIN),
    ("fr-FR", "Votre commande est en route.", OpenQuestion.NONE),
    ("ar-SA", "هل تريد التحدث مع موظف؟", OpenQuestion.YES_NO),
    ("ar-SA", "ما هو رقم الطلب؟", OpenQuestion.ORDER_NUMBER),
    ("de-DE", "Wie kann ich helfen?", OpenQuestion.OPEN),
    ("de-DE", "Danke.", OpenQuestion.NONE),
]


@pytest.mark.parametrize(("expected", "text"), [(kind, text) for kind, texts in ENGLISH.items() for text in texts])
def test_english(expected: OpenQuestion, text: str) -> None:
    assert open_question(text, "en-US") is expected


@pytest.mark.parametrize(("locale", "text", "expected"), OTHERS)
def test_other_languages(locale: str, text: str, expected: OpenQuestion) -> None:
    assert open_question(text, locale) is expected


@given(st.text(max_size=200), st.sampled_from(["en-US", "es-ES", "fr-FR", "ar-SA", "xx", ""]))
def test_any_text_has_an_answer(text: str, locale: str) -> None:
    assert open_question(text, locale) in OpenQuestion


@given(st.text(alphabet="ab. ,", max_size=60))
def test_nothing_is_open_without_a_question_or_a_request(text: str) -> None:
    assert open_question(text, "en-US") is OpenQuestion.NONE
