"""The analyses of the ADePT paper, made again from the adapters that searches left: Tables 1, 2 and 8 to 14.

A table of many searches needs their records alone (`orchestrator.summarizer`). These need trained adapters besides:
with other offsets, or of another trial than the winner.
"""
