"""Answers from a model, drawn under stated conditions and written as a file of generations.

A model is a local folder (:mod:`breadth.generation.local`) or an OpenAI-compatible server
(:mod:`breadth.generation.remote`); :func:`breadth.generation.writing.generate_file` asks it and keeps what is done.
"""
