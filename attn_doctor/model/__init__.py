"""Values only: facts, findings, trial rows, recommendation, report. Nothing here looks at the world."""
