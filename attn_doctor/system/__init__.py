"""What is of one operating system or of this very process: streams, paths, the current folder, the last resort."""
