"""The process and its machine: flags, errors, exit codes, files, the terminal, signals."""
