"""A language model that always asks for the worst, and the scripts by which it does."""
