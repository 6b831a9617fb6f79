"""How many tokens a request is, before an engine has said so. Pure CPU, but for `engine.py`.

counter.py       one model's prompts -> a `Tally`: start here
tokenizer.py     text -> tokens, with the vocabulary in a file; patterns.py for tiktoken's files
vocabulary.py    loads one with the chat template beside it, once, whoever uses it
template.py      a model's own chat template, rendered as its engine would
joints.py        what that template puts around every message, where it is always the same
specials.py      tokens that are found before all others
pieces.py        where a text can be cut without changing its count
remembered.py    counts of messages seen before, without their text
given.py         a body -> what is to be counted: bare texts, or a conversation
talk.py          that conversation, the same for all dialects; chat.py, messages.py and
                 responses.py read them
draft.py         what of it was counted before, and what is still to be counted
images.py        what an image counts; dimensions.py: how large it is
mix.py           which scripts a text is written in; estimate.py: tokens from that, learned
engine.py        asks the engine itself
lengths.py       how long answers were; expect.py: how long this one may get
counted.py       the fact, and what is left of it at the end of a request
lasting.py       what outlives a policy: all that was learned and loaded
"""
