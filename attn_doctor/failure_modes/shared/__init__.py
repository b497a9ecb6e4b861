"""Hold code that several failure modes share. No module here is a failure mode."""
