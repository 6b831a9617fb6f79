"""Attacks on the model by what it reads: found by rules over what a text says once it is laid open.

normal.py      a text as a person reads it, whatever letters it is written in
layers.py      what is hidden or encoded in it: base64, hexadecimal, tag characters, spaced letters
rules.py       rules and words, as `rules/*.yaml` has them; rulebook.py compiles them
atoms.py       what a pattern needs, by which hyperscan sorts out most of them
matching.py    one pass over one view of a text: which rules say what, and what speaks against it
firewall.py    the texts of a request -> a score, the rules that gave it, and where
strip.py       taking out what was found
classifier.py  what a service says that tells attacks from other texts
canary.py      a mark in the system prompt, looked for in answers
echo.py        instructions that answers repeat, as the client sent them
"""
