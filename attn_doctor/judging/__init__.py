"""Turn facts, logs and trials into findings, an outcome and a recommendation. Pure."""
