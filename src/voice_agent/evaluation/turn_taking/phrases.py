"""What scripted callers say. Written as spoken: a voice reads them out."""

from __future__ import annotations

# Questions that the demo shop's documents answer in seven seconds and more: long enough to be interrupted.
QUESTIONS = (
    "What is your return policy?",
    "Can I pay with PayPal?",
    "Do you ship to Canada?",
    "How long is the warranty on a tent?",
    "What do I do if something arrives broken?",
    "Do gift cards expire?",
    "Do you price match?",
    "Can I pay in installments?",
    "How do I contact you?",
    "How do I care for a cast iron pan?",
    "Can I pick up my order in a store?",
    "When are your stores open on Sunday?",
)
MORE_QUESTIONS = (
    "How much is standard shipping?",
    "How long does shipping take?",
    "How do I reset my password?",
    "How do I wash my down jacket?",
    "Do you offer gift wrapping?",
    "Where is my order eight three one oh two?",
    "Has order eight three one one seven been delivered?",
)

# (kind of pause, the parts between which the caller pauses). A comma keeps the voice up where the caller goes on.
PAUSED = (
    ("hesitation", ("Um, let me see,", "what is your return policy?")),
    ("hesitation", ("I wanted to ask, um,", "do gift cards expire?")),
    ("hesitation", ("Okay, so, uh,", "how long does shipping take?")),
    ("mid-sentence", ("Can you tell me,", "when your stores are open on Sunday?")),
    ("mid-sentence", ("I'd like to know if I can,", "pay with PayPal.")),
    ("mid-sentence", ("How long is the warranty,", "on a tent?")),
    ("mid-sentence", ("Do you ship to,", "Canada?")),
    ("e-mail", ("My e-mail address is dana dot reyes,", "at example dot com.")),
    ("date", ("I bought it on the third,", "of November.")),
    ("order number", ("Where is my order eight three one,", "oh two?")),
    ("order number", ("Has order number eight three,", "one one seven been delivered?")),
    ("order number", ("It's about order eight,", "three one,", "oh two.")),
)
PAUSES_S = (0.3, 0.6, 1.0)

# (what opens a yes/no question of the agent, the answers that follow one another)
ANSWERS = (
    ("What should I do about a phishing mail?", ("No.", "Yes.")),
    ("Thank you.", ("Yes, please.",)),
    ("Thanks a lot.", ("Yeah.",)),
    ("Can you recommend a restaurant?", ("No, thanks.",)),
)

# (variant, words, whether an answer is due)
INTERRUPTIONS = (
    ("request", "How long does shipping take?", True),
    ("actually", "Actually, what are your opening hours?", True),
    ("stop", "Stop.", False),
    ("request", "Do you ship to Canada?", True),
    ("no, wait", "No, wait.", False),
    ("sorry", "Sorry, can I pay with PayPal?", True),
    ("request", "Do gift cards expire?", True),
    ("hold on", "Hold on, please.", False),
    ("actually", "Actually, do you price match?", True),
    ("excuse me", "Excuse me, how do I contact you?", True),
    ("stop", "Please stop talking.", False),
    ("request", "What about the warranty on a tent?", True),
)

BACKCHANNELS = ("Uh-huh.", "Yeah.", "Okay.", "Right.", "Mm-hmm.", "I see.", "Sure.", "Got it.")

SIDE_TALK = (
    "Did you put the kettle on?",
    "The kids are outside, I think.",
    "No, the blue one, on the table.",
    "Can you close the door, please?",
    "I'm on the phone with the shop.",
    "We should leave in ten minutes.",
)
