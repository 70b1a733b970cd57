"""Scores for answers in a file: by a reward model in a folder, or by a language model as judge.

:func:`breadth.scoring.scored_file.score_file` asks a scorer and keeps what is done. An answer that got no score has none: never 0.
"""
