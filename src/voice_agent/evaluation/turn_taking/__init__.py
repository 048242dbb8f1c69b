"""The turn-taking bench: scripted callers, a real server, and how well it takes and gives the floor.

``scenarios`` writes the scripts, ``player`` plays them, ``timeline`` is what a played call leaves behind, ``measures``,
``ticks`` and ``operating_curve`` judge it (pure), ``summary`` puts intervals to the figures, ``result`` and ``page`` are
what is kept and shown. See docs/turn-taking-bench.md.
"""
