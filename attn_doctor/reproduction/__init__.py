"""Makes failures happen for real in throw-away environments, and checks that the doctor names them. Never touches the target."""
