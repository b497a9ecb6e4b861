"""Handle the operating system and this process: streams, paths, the current folder, the last error handler."""
