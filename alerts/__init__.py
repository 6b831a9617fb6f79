"""Telling people: from something that happened to a message in the right chat.

In reading order:

alert      what is told
outbox     the directory where any process leaves an alert without waiting for anyone
webhook    where alerts go, and which
shapes     an alert as Slack, WeCom, DingTalk or a program wants it
verdict    what a receiver's answer means: delivered, later, never
courier    one webhook's queue: how fast, how often, and when to sum up. Pure
sent       what was delivered already, across restarts
deliver    the loop in the settle process that sends

Whoever raises an alert needs `alert` and `outbox` alone. Alerts hold no prompts and no secrets.
"""
