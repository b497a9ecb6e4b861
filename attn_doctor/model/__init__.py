"""Define the values that the stages pass on: facts, findings, trial rows, recommendation, report.

Nothing here reads the machine.
"""
