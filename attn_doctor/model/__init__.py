"""Define the values: facts, findings, trial rows, recommendation, report. Nothing here reads the machine."""
