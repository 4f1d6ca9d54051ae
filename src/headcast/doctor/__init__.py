"""What is on this machine: model files that headcast knows, and the programs and packages it needs."""
