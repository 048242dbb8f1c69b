"""A voice agent platform: it listens, decides and speaks on a live call."""

__version__ = "0.1.0"
