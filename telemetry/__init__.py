"""What Headgate says about itself.

metrics      every metric, in one table, and the typed sets each process writes
bounded      metric families that cannot grow without end
exposition   /metrics: this process and all workers in one answer
logs         JSON log lines, every event name, and the rule that keeps secrets out
"""
