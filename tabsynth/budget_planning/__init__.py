"""What each epsilon would cost in quality, simulated before it is spent."""
