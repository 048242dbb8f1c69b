"""Clients for the API shapes that OpenAI has made common: chat completions, ``/audio/speech``, the Realtime WebSocket."""
