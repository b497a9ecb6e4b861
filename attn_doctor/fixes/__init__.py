"""Make plans for the installer in use, try them in a throw-away environment, apply them and undo them."""
