"""What fuzzing has found: each file once broke something and is tried again in every build."""
