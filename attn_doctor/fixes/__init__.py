"""Curing: plans for the installer in use (pure), proving one in a throw-away environment, applying and undoing it."""
