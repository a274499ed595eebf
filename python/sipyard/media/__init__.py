"""Media of calls: session descriptions, and relays that others run."""
