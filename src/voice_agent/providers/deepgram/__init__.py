"""What Deepgram's recognition (``asr/deepgram.py``) and synthesis (``tts/deepgram.py``) are made of.

``connection`` dials and translates errors; ``recognizer`` is one call's recogniser, which speaks v1 (``nova``) or v2
(``flux``), keeps the caller's audio (``audio_ring``) and what was heard of it (``transcript``); ``speak_lines`` keeps
connections for synthesis.
"""
