"""The usage API: the ledger over HTTP, read-only, everybody their own.

app.py          paths, and what they answer
parameters.py   query parameters, checked
reader.py       the ledger as one identity may see it: the one place that draws the line
turns.py        how many questions run at once, and for how long
cursor.py       where a page ends
answers.py      JSON and CSV
__main__.py     the process
"""
