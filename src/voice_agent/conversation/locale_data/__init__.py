"""The words of each language: prompts the agent speaks by itself, and word lists that turn-taking reads."""
