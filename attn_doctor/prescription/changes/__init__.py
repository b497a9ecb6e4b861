"""List the changes beyond attention that can make training or predicting faster, and make them in a process.

The trial measures with the same code that a user's program applies. The standard library and torch only, and nothing else of
attn_doctor: these files also run inside a target without attn_doctor. Python 3.8.
"""
