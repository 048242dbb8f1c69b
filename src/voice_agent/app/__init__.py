"""The composition root: the one place where things are wired together.

It exports nothing: whoever needs a part imports that part, so that a command which looks at documents loads no door.
"""
