"""Calls in which secrets are spoken, and the search of everything they leave behind."""
